import "./support/browser.mjs";
import assert from "node:assert/strict";
import { MsrpIncomingMessage } from "../../message.js";
import { MsrpFileTransfer } from "../../transfer.js";
import { MsrpError } from "../../errors.js";
import { test, turns } from "./support/cases.mjs";
import { scriptedCore } from "./support/scripted.mjs";

const about = { messageId: "m1", contentType: "text/plain", disposition: "", from: "msrp://a/1;tcp", to: "msrp://b/2;ws" };
const octets = (text) => new TextEncoder().encode(text);

/** A message that came with all of its content, as short ones do. */
async function short(t, text, fields = {}) {
  const { core, worker } = await scriptedCore(t);
  const data = octets(text);
  return { worker, message: new MsrpIncomingMessage(core, { ...about, size: data.length, data, ...fields }) };
}

/** A message whose content is to be fetched. */
async function long(t, fields = {}) {
  const { core, worker } = await scriptedCore(t);
  return { worker, message: new MsrpIncomingMessage(core, { ...about, incoming: 3, ...fields }) };
}

test("a message tells what it is", async (t) => {
  const { message } = await short(t, "Hi", { disposition: 'attachment; filename="a.txt"' });
  assert.equal(message.messageId, "m1");
  assert.equal(message.contentType, "text/plain");
  assert.equal(message.disposition, 'attachment; filename="a.txt"');
  assert.equal(message.fileName, "a.txt");
  assert.equal(message.size, 2);
  assert.equal(message.from, about.from);
  assert.equal(message.to, about.to);
  assert.equal((await long(t)).message.size, null, "the peer has not said");
});

test("a short message is read without asking the core", async (t) => {
  const { message, worker } = await short(t, "Grüße");
  assert.equal(message.bodyUsed, false);
  const reading = message.text();
  assert.equal(message.bodyUsed, true);
  assert.equal(await reading, "Grüße");
  assert.equal(worker.requests.length, 0);
});

test("an empty message is read too", async (t) => {
  assert.equal(await (await short(t, "")).message.text(), "");
  const { value, done } = await (await short(t, "")).message.body.getReader().read();
  assert.equal(done, true);
  assert.equal(value, undefined);
});

test("a Blob has the message's type, an ArrayBuffer its octets", async (t) => {
  const blob = await (await short(t, "<p>", { contentType: "text/html" })).message.blob();
  assert.equal(blob.type, "text/html");
  assert.equal(await blob.text(), "<p>");
  assert.deepEqual(new Uint8Array(await (await short(t, "abc")).message.arrayBuffer()), octets("abc"));
});

test("a long message is put together from its pieces", async (t) => {
  const { message, worker } = await long(t);
  const reading = message.text();
  // A character that is cut in two by the pieces is whole in the text.
  for (const piece of [octets("Gr"), octets("ü").subarray(0, 1), octets("ü").subarray(1), octets("ße")]) {
    const request = await worker.serve("read", [piece.slice()]);
    assert.equal(request.incoming, 3);
    assert.ok(request.max > 0);
  }
  await worker.serve("read", null);
  assert.equal(await reading, "Grüße");
});

test("a message is read once", async (t) => {
  const ways = { text: (m) => m.text(), blob: (m) => m.blob(), arrayBuffer: (m) => m.arrayBuffer() };
  for (const [first, read] of [...Object.entries(ways), ["body", (m) => new Response(m.body).text()]]) {
    const { message } = await short(t, "once");
    await read(message);
    assert.equal(message.bodyUsed, true);
    for (const [second, again] of Object.entries(ways)) await assert.rejects(again(message), TypeError, `${second} after ${first}`);
  }
  const { message } = await short(t, "once");
  await message.text();
  assert.throws(() => message.body, TypeError);
});

test("body is one stream", async (t) => {
  const { message } = await short(t, "x");
  assert.equal(message.body, message.body);
  assert.equal(message.bodyUsed, true);
});

test("nothing is fetched before somebody reads, and then one piece at a time", async (t) => {
  const { message, worker } = await long(t);
  const reader = message.body.getReader();
  await turns();
  assert.equal(worker.requests.length, 0);
  for (const piece of ["one", "two"]) {
    const reading = reader.read();
    await worker.serve("read", [octets(piece), octets("more")]);
    assert.deepEqual((await reading).value, octets(piece));
    assert.deepEqual((await reader.read()).value, octets("more"), "what came along is not asked for");
    await turns();
    assert.equal(worker.requests.length, 0, "it hurries ahead");
  }
  const end = reader.read();
  await worker.serve("read", null);
  assert.equal((await end).done, true);
});

test("a message that breaks off says why, whichever way it is read", async (t) => {
  const lost = { message: "msrp: the connection was lost", kind: "lost" };
  for (const read of [(m) => m.text(), (m) => m.blob(), (m) => m.body.getReader().read()]) {
    const { message, worker } = await long(t);
    const reading = read(message);
    await worker.refuse("read", lost);
    await assert.rejects(reading, (error) => error instanceof MsrpError && error.kind === "lost");
  }
});

test("canceling the stream tells the core once, before or within reading", async (t) => {
  const unread = await long(t);
  const canceling = unread.message.body.cancel();
  assert.equal((await unread.worker.serve("drop")).incoming, 3);
  await canceling;

  const { message, worker } = await long(t);
  const reader = message.body.getReader();
  const reading = reader.read();
  await worker.request("read"); // is never answered
  const stopping = reader.cancel();
  await worker.serve("drop");
  await stopping;
  assert.equal((await reading).done, true);
  assert.equal(worker.requests.length, 0);
});

test("canceling what is over already is no error", async (t) => {
  const { message, worker } = await long(t);
  const canceling = message.body.cancel();
  await worker.refuse("drop", { message: "the message is over" });
  await canceling;
  const { message: inline, worker: idle } = await short(t, "x");
  await inline.body.cancel();
  assert.equal(idle.requests.length, 0);
});

for (const [disposition, name] of [
  ["", null],
  ["render", null],
  ["attachment", null],
  ["attachment; filename=a.txt", "a.txt"],
  ["attachment;filename = a.txt ; size=3", "a.txt"],
  ['ATTACHMENT; FILENAME="a b.txt"', "a b.txt"],
  ['attachment; filename="a; b.txt"', "a; b.txt"],
  ['attachment; filename="say \\"hi\\".txt"', 'say _hi_.txt'],
  ['attachment; filename="Grüße.txt"', "Grüße.txt"],
  ["attachment; filename*=UTF-8''Gr%C3%BC%C3%9Fe.txt", "Grüße.txt"],
  ["attachment; filename=old.txt; filename*=utf-8''new.txt", "new.txt"],
  ["attachment; filename=good.txt; filename*=utf-8''%FF", "good.txt"],
  ['attachment; filename="../../etc/passwd"', "passwd"],
  ['attachment; filename="C:\\\\Windows\\\\evil.exe"', "evil.exe"],
  ["attachment; filename*=utf-8''..%2F..%2Fpasswd", "passwd"],
  ['attachment; filename="a\u0000b\u001b.txt"', "ab.txt"],
  ['attachment; filename="dir/"', "dir"],
  ['attachment; filename=""', null],
  ['attachment; filename=".."', null],
  ["attachment; filename*=utf-8''%2E", null],
  ['attachment; filename=".profile"', "profile"],
]) {
  test(`the file name of ${JSON.stringify(disposition)}`, async (t) => {
    assert.equal((await short(t, "x", { disposition })).message.fileName, name);
  });
}

test("a file keeps its name on the way, if it can be one anywhere", async (t) => {
  const { core, worker } = await scriptedCore(t);
  for (const name of ["plain.txt", "a; filename=b.txt", "äöü 👋.txt", "50%.txt", "'.txt", "a=b,c.txt"]) {
    new MsrpFileTransfer(core, new File(["x"], name), {})._start(1);
    const { disposition } = await worker.request("send");
    assert.equal(new MsrpIncomingMessage(core, { ...about, disposition, data: octets("x") }).fileName, name);
  }
});
