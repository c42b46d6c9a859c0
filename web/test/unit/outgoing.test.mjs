import "./support/browser.mjs";
import assert from "node:assert/strict";
import { MsrpOutgoingMessage } from "../../message.js";
import { MsrpFileTransfer } from "../../transfer.js";
import { MsrpError } from "../../errors.js";
import { toSource } from "../../sources.js";
import { event, test, turns } from "./support/cases.mjs";
import { scriptedCore } from "./support/scripted.mjs";

const session = 7;

/** Starts a message and returns it with the request that the core gets. */
async function start(t, body, options = {}) {
  const { core, worker } = await scriptedCore(t);
  const message = new MsrpOutgoingMessage(core, body, options);
  message._start(session);
  const request = await worker.serve("send");
  const progress = (fields) => worker.say({ event: "progress", message: request.message, acknowledged: 0, sent: false, delivered: false, ...fields });
  return { core, worker, message, request, progress };
}

/** A stream that tells why it was canceled. */
function cancelable() {
  let canceled;
  const reason = new Promise((resolve) => (canceled = resolve));
  return { stream: new ReadableStream({ cancel: canceled }), reason };
}

test("text goes as text/plain with its size in octets", async (t) => {
  const { message, request } = await start(t, "Grüße");
  assert.equal(message.contentType, "text/plain");
  assert.equal(message.size, 7);
  assert.equal(request.session, session);
  assert.equal(request.body, "Grüße");
  assert.equal(request.contentType, "text/plain");
  assert.equal(request.size, 7);
  assert.equal(request.messageId, message.messageId);
});

test("a Blob goes with its type, or as octets where it has none", async (t) => {
  const typed = await start(t, new Blob(["<p>"], { type: "text/html" }));
  assert.equal(typed.message.contentType, "text/html");
  assert.equal(typed.message.size, 3);
  assert.equal(await typed.request.body.text(), "<p>");
  const bare = await start(t, new Blob(["x"]));
  assert.equal(bare.message.contentType, "application/octet-stream");
});

test("a view goes as the octets that it shows, copied at once", async (t) => {
  const { core, worker } = await scriptedCore(t);
  const octets = new Uint8Array([1, 2, 3, 4, 5, 6]);
  const shown = [
    [octets.subarray(1, 3), [2, 3]],
    [new DataView(octets.buffer, 2, 3), [3, 4, 5]],
    [new Uint16Array(octets.buffer, 2, 2), [3, 4, 5, 6]],
    [octets.buffer, [1, 2, 3, 4, 5, 6]],
    [new Uint8Array(0), []],
  ];
  const messages = shown.map(([body]) => new MsrpOutgoingMessage(core, body, {}));
  octets.fill(9); // the caller goes on with its memory before anything is sent
  for (const [i, message] of messages.entries()) {
    assert.equal(message.size, shown[i][1].length);
    assert.equal(message.contentType, "application/octet-stream");
    message._start(session);
    assert.deepEqual([...(await worker.request("send")).body], shown[i][1]);
  }
  assert.equal(octets.length, 6, "the caller's memory was not transferred");
});

test("a stream goes with no size, read as the core pulls", async (t) => {
  const stream = new Blob(["stream"]).stream();
  const { message, request } = await start(t, stream, { contentType: "text/plain" });
  assert.equal(message.size, null);
  assert.equal(message.contentType, "text/plain");
  assert.equal(request.size, 0);
  const source = toSource(request.body);
  assert.equal(new TextDecoder().decode(await source.pull()), "stream");
  assert.equal(await source.pull(), null);
});

test("what is no body is refused at once", async (t) => {
  const { core } = await scriptedCore(t);
  for (const body of [undefined, null, 5, {}, [1]]) assert.throws(() => new MsrpOutgoingMessage(core, body, {}), TypeError);
});

test("a stream that somebody reads already is refused at once", async (t) => {
  const { core } = await scriptedCore(t);
  const stream = new Blob(["x"]).stream();
  stream.getReader();
  assert.throws(() => new MsrpOutgoingMessage(core, stream, {}), /locked/);
});

test("a stream that somebody began to read before its turn fails the message", async (t) => {
  const { core } = await scriptedCore(t);
  const stream = new Blob(["x"]).stream();
  const message = new MsrpOutgoingMessage(core, stream, {});
  stream.getReader();
  message._start(session);
  await assert.rejects(message.sent, /locked/);
  assert.equal(message.state, "failed");
});

test("options reach the core", async (t) => {
  const { request } = await start(t, "x", { contentType: "text/html", disposition: "render", successReport: false, failureReport: "partial" });
  assert.equal(request.contentType, "text/html");
  assert.equal(request.disposition, "render");
  assert.equal(request.successReport, false);
  assert.equal(request.failureReport, "partial");
  const { request: plain } = await start(t, "x");
  assert.equal(plain.disposition, "");
  assert.equal(plain.successReport, true);
  assert.equal(plain.failureReport, "");
});

test("every message has an id of its own that MSRP allows", async (t) => {
  const { core } = await scriptedCore(t);
  const ids = Array.from({ length: 50 }, () => new MsrpOutgoingMessage(core, "x", {}).messageId);
  for (const id of ids) assert.match(id, /^[A-Za-z0-9]{4,32}$/);
  assert.equal(new Set(ids).size, 50);
});

test("progress goes from sending over sent to delivered", async (t) => {
  const { message, progress } = await start(t, "0123456789");
  const seen = [];
  message.addEventListener("progress", () => seen.push([message.state, message.acknowledged]));
  assert.equal(message.state, "sending");
  progress({ acknowledged: 4 });
  progress({ acknowledged: 10, sent: true });
  await message.sent;
  progress({ acknowledged: 10, sent: true, delivered: true });
  await message.delivered;
  await message._settled;
  assert.deepEqual(seen, [["sending", 4], ["sent", 10], ["delivered", 10]]);
  assert.equal(message.error, undefined);
});

test("a report that overtakes the answer counts for both", async (t) => {
  const { message, progress } = await start(t, "x");
  progress({ acknowledged: 1, sent: true, delivered: true });
  await message.sent;
  await message.delivered;
  assert.equal(message.state, "delivered");
});

test("a failure rejects what was awaited, and nobody has to await it", async (t) => {
  const { message, progress } = await start(t, "x");
  const changed = event(message, "progress");
  progress({ error: { message: "msrp: 415", code: 415, kind: "status", messageId: message.messageId } });
  await changed;
  assert.equal(message.state, "failed");
  assert.equal(message.error.code, 415);
  assert.equal(message.error.messageId, message.messageId);
  for (const promise of [message.sent, message.delivered]) await assert.rejects(promise, (error) => error === message.error);
  await message._settled;
});

test("a failure after the next hop had it all leaves sent as it was", async (t) => {
  const { message, progress } = await start(t, "x");
  progress({ acknowledged: 1, sent: true });
  progress({ acknowledged: 1, sent: true, error: { message: "msrp: 408", code: 408, kind: "status" } });
  await message.sent;
  await assert.rejects(message.delivered, { code: 408 });
  assert.equal(message.state, "failed");
});

test("nothing happens to a message after its end", async (t) => {
  const { message, progress } = await start(t, "x");
  progress({ acknowledged: 1, sent: true, delivered: true });
  await message.delivered;
  let changes = 0;
  message.addEventListener("progress", () => changes++);
  progress({ error: { message: "late" } });
  progress({ acknowledged: 0 });
  message.abort();
  message._fail(new Error("late"));
  assert.equal(changes, 0);
  assert.equal(message.acknowledged, 1);
  assert.equal(message.state, "delivered");
});

test("a message that the core refuses fails, and its stream ends", async (t) => {
  const { core, worker } = await scriptedCore(t);
  const { stream, reason } = cancelable();
  const message = new MsrpOutgoingMessage(core, stream, {});
  message._start(session);
  await worker.refuse("send", { message: "msrp: the peer does not accept this content type", kind: "type" });
  await assert.rejects(message.sent, { kind: "type" });
  assert.equal(await reason, message.error);
});

test("a dead core fails the message, and its stream ends", async (t) => {
  const { stream, reason } = cancelable();
  const { message, worker } = await start(t, stream);
  worker.say({ exited: "crashed" });
  await assert.rejects(message.delivered, /crashed/);
  assert.equal(await reason, message.error);
});

test("abort before the start: the core never hears of the message", async (t) => {
  const { core, worker } = await scriptedCore(t);
  const { stream, reason } = cancelable();
  const message = new MsrpOutgoingMessage(core, stream, {});
  message.abort();
  message._start(session);
  await assert.rejects(message.sent, (error) => error instanceof MsrpError && error.kind === "aborted" && error.messageId === message.messageId);
  assert.equal(await reason, message.error);
  core.call("probe", {});
  await worker.serve("probe"); // the first request that there is
});

test("abort after the start tells the core and ends the stream, with the given reason", async (t) => {
  const { stream, reason } = cancelable();
  const { message, worker, request } = await start(t, stream);
  const why = new Error("changed my mind");
  message.abort(why);
  message.abort();
  assert.equal((await worker.serve("abort")).message, request.message);
  await assert.rejects(message.delivered, (error) => error === why);
  assert.equal(message.error, why);
  assert.equal(await reason, why);
  await turns();
  assert.equal(worker.requests.length, 0, "once is enough");
});

test("abort is too late once the next hop has it all", async (t) => {
  const { message, progress, worker } = await start(t, "x");
  progress({ acknowledged: 1, sent: true });
  message.abort();
  assert.equal(message.state, "sent");
  assert.equal(worker.requests.length, 0);
});

test("the end of the session fails what still needed it", async (t) => {
  const why = new MsrpError("The conversation is closed.", { kind: "closed" });
  const waiting = await start(t, "x");
  waiting.message._sessionEnded(why);
  assert.equal(waiting.message.error, why);
  const unconfirmed = await start(t, "x");
  unconfirmed.progress({ acknowledged: 1, sent: true });
  unconfirmed.message._sessionEnded(why);
  assert.equal(unconfirmed.message.state, "failed");
});

test("the end of the session does not fail what was sent without asking for more", async (t) => {
  const { message, progress } = await start(t, "x", { successReport: false });
  progress({ acknowledged: 1, sent: true });
  message._sessionEnded(new Error("closed"));
  assert.equal(message.state, "sent");
  assert.equal(message.error, undefined);
  await message._settled;
});

test("a file goes with its name and type", async (t) => {
  const { core } = await scriptedCore(t);
  const transfer = new MsrpFileTransfer(core, new File(["x"], "a.txt", { type: "text/plain" }), {});
  assert.equal(transfer.name, "a.txt");
  assert.equal(transfer.contentType, "text/plain");
  assert.equal(new MsrpFileTransfer(core, new Blob(["x"]), {}).name, "file");
  assert.equal(new MsrpFileTransfer(core, new File(["x"], "a.txt"), { name: "b.txt" }).name, "b.txt");
});

for (const [options, disposition] of [
  [{}, 'attachment; filename="a b.txt"'],
  [{ disposition: undefined }, 'attachment; filename="a b.txt"'],
  [{ name: "two\r\nlines" }, 'attachment; filename="two  lines"'],
  [{ name: 'x/a "b" c.txt' }, 'attachment; filename="a _b_ c.txt"'],
  [{ name: "" }, 'attachment; filename="file"'],
  [{ name: "Grüße 👋.txt" }, 'attachment; filename="Grüße 👋.txt"'],
  [{ disposition: "render" }, "render"],
]) {
  test(`a file's Content-Disposition for ${JSON.stringify(options)}`, async (t) => {
    const { core, worker } = await scriptedCore(t);
    new MsrpFileTransfer(core, new File(["x"], "a b.txt"), options)._start(session);
    assert.equal((await worker.request("send")).disposition, disposition);
  });
}

test("the rest of a file is what was not acknowledged, or the peer has not", async (t) => {
  const { core, worker } = await scriptedCore(t);
  const mebibyte = 1 << 20;
  const file = new File([new Uint8Array(10 * mebibyte)], "a.txt");
  const first = new MsrpFileTransfer(core, file, { offer: true });
  assert.throws(() => new MsrpFileTransfer(core, file, { offer: true, resume: first }), /that failed/);
  first._start(session);
  const { message } = await worker.serve("send");
  worker.say({ event: "progress", message, acknowledged: 7 * mebibyte });
  first.abort();
  const options = { offer: true, resume: first };
  const rest = new MsrpFileTransfer(core, file, options);
  assert.deepEqual([rest.offset, rest.size, rest.name], [2 * mebibyte, 8 * mebibyte, "a.txt"]);
  assert.deepEqual([new MsrpFileTransfer(core, file, { offer: true, offset: 7 }).offset, new MsrpFileTransfer(core, file, { ...options, offset: 7 }).offset], [7, 7]);
  // Who asks may want a part in the middle.
  assert.equal(new MsrpFileTransfer(core, file, { offer: true, offset: 2 }, 5).size, 3);
  // A part cannot be empty.
  assert.equal(new MsrpFileTransfer(core, file, { offer: true, offset: file.size }).size, 1);
  assert.equal(new MsrpFileTransfer(core, new File([], "a.txt"), { offer: true, offset: 0 }).size, 0);
  assert.throws(() => new MsrpFileTransfer(core, file, { resume: first }), /has to be offered/);
  assert.throws(() => new MsrpFileTransfer(core, file, { offset: 7 }), /has to be offered/);
  assert.throws(() => new MsrpFileTransfer(core, new File(["x"], "a.txt"), options), /the same file/);
  for (const offset of [-1, 0.5, file.size + 1, NaN, "7"]) assert.throws(() => new MsrpFileTransfer(core, file, { offer: true, offset }), RangeError);
});
