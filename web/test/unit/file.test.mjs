import "./support/browser.mjs";
import assert from "node:assert/strict";
import { MsrpError } from "../../errors.js";
import { formatSelector, MsrpFileOffer, MsrpIncomingFile, parseFileOffer } from "../../file.js";
import { test } from "./support/cases.mjs";
import { scriptedCore } from "./support/scripted.mjs";

// RFC 5547, section 9.1.
const sdp = `v=0
o=alice 2890844526 2890844526 IN IP4 host.atlanta.example.com
s=
c=IN IP4 host.atlanta.example.com
t=0 0
m=message 7654 TCP/MSRP *
i=This is my latest picture
a=sendonly
a=accept-types:message/cpim
a=accept-wrapped-types:*
a=path:msrp://atlanta.example.com:7654/jshA7we;tcp
a=file-selector:name:"My cool picture.jpg" type:image/jpeg size:32349 hash:sha-1:72:24:5f:E8:65:3D:DA:F3:71:36:2F:86:D4:71:91:3E:E4:A2:CE:2E
a=file-transfer-id:vBnG916bdberum2fFEABR1FR3ExZMUrd
a=file-disposition:attachment
a=file-date:creation:"Mon, 15 May 2006 15:01:31 +0300"
a=file-icon:cid:id2@alicepc.example.com
a=file-range:1-32349
`.replaceAll("\n", "\r\n");

test("the example of RFC 5547", () => {
  const { name, type, size, hashes, offset, terms } = parseFileOffer(sdp);
  assert.deepEqual([name, type, size, offset], ["My cool picture.jpg", "image/jpeg", 32349, 0]);
  assert.deepEqual(hashes, { "sha-1": "72:24:5F:E8:65:3D:DA:F3:71:36:2F:86:D4:71:91:3E:E4:A2:CE:2E" });
  assert.deepEqual({ ...terms, selector: undefined }, { selector: undefined, transferId: "vBnG916bdberum2fFEABR1FR3ExZMUrd", start: 1, stop: 32349 });
  assert.match(terms.selector, /^name:"My cool picture.jpg" type:.*CE:2E$/);
});

test("the rest of a file", () => {
  const { offset, terms } = parseFileOffer(sdp.replace("1-32349", "20001-*"));
  assert.deepEqual([offset, terms.start, terms.stop], [20000, 20001, -1]);
  assert.equal(parseFileOffer(sdp.replace("a=file-range:1-32349\r\n", "")).terms.start, 0);
});

test("names are taken apart, and nothing but names", () => {
  for (const [written, name] of [
    ['"a b.txt"', "a b.txt"],
    ["a.txt", "a.txt"],
    ['"..%2F..%2Fetc%2Fpasswd"', "passwd"],
    ['"%22%25%C3%BC.txt"', '"%ü.txt'],
    ['"100%.txt"', "100%.txt"],
    ['".."', null],
    ['""', null],
    ['"size:5 hash:sha-1:00"', "size:5 hash:sha-1:00"],
  ]) {
    const offer = parseFileOffer(sdp.replace('"My cool picture.jpg"', written));
    assert.equal(offer.name, name, written);
    assert.equal(offer.size, 32349, written);
    assert.equal(Object.keys(offer.hashes).length, 1, written);
  }
});

test("conversations, requests and refused lines are no offers of files", () => {
  const conversation = "m=message 7654 TCP/MSRP *\r\na=accept-types:*\r\na=path:msrp://b.example.com:7654/x;tcp\r\n";
  for (const other of [sdp.replace(/a=file-selector.*\r\n/, ""), sdp.replace("sendonly", "recvonly"), sdp.replace("7654 TCP", "0 TCP"), sdp + conversation, sdp.replace(/file-selector:.*/, "file-selector:"), ""]) {
    assert.equal(parseFileOffer(other), undefined);
  }
  assert.ok(parseFileOffer(sdp + conversation.replace("7654", "0")));
});

test("what is offered reads the same", () => {
  const file = { name: 'a"%\\/\u0001Grüße.txt', type: "text/plain;charset=utf-8", size: 5, hashes: { "sha-1": "00:11", "sha-256": "22:33" } };
  const selector = formatSelector(file);
  assert.match(selector, /^name:"[^"]*" type:text\/plain size:5 hash:sha-1:00:11 hash:sha-256:22:33$/);
  const offer = parseFileOffer(sdp.replace(/file-selector:.*(?=\r)/, () => `file-selector:${selector}`));
  assert.deepEqual([offer.name, offer.type, offer.size, offer.hashes], ["_Grüße.txt", "text/plain", 5, file.hashes]);
});

/** What the page is offered, and a file that has failed with that many octets. */
async function broken(t, received) {
  const { core, worker } = await scriptedCore(t);
  const offered = parseFileOffer(sdp);
  const file = new MsrpFileOffer(core, offered).accept();
  const { file: number } = await worker.serve("opensave");
  const taking = file._take({ incoming: 3 });
  const { id, ...request } = await worker.request("save");
  assert.deepEqual(request, { op: "save", file: number, incoming: 3, data: undefined, skip: 0, most: 32349 });
  worker.say({ event: "saved", message: number, octets: received });
  worker.say({ id, error: { message: "msrp: lost", kind: "lost" } });
  await taking;
  await assert.rejects(file.verified, { kind: "lost" });
  assert.equal(file.received, received);
  return { core, worker, file, offered, number };
}

test("only the rest of the same file follows, and without a gap", async (t) => {
  const { core, worker, file, offered, number } = await broken(t, 20000);
  const offer = (change) => new MsrpFileOffer(core, { ...offered, offset: 10000, ...change });
  assert.throws(() => offer({ offset: 20001 }).accept(file), /from octet 20000 on/);
  assert.throws(() => offer({ size: 32350 }).accept(file), /not the rest of this one/);
  assert.throws(() => offer({ hashes: { "sha-1": "00" } }).accept(file), /not the rest of this one/);
  assert.throws(() => offer({}).accept(), MsrpError);
  assert.equal(file.state, "failed");
  assert.equal(offer({}).accept(file), file);
  assert.equal(file.state, "waiting");
  const taking = file._take({ incoming: 4 }, 10000);
  const { id, skip } = await worker.request("save");
  assert.equal(skip, 10000);
  worker.say({ id, result: 32349 });
  assert.equal((await worker.serve("closesave", { sum: offered.hashes["sha-1"] })).file, number);
  await taking;
  await file.verified;
  assert.throws(() => offer({}).accept(file), /not the rest/);
});

test("what was given up does not go on", async (t) => {
  const { core, worker, file, offered } = await broken(t, 20000);
  file.abort();
  await worker.serve("drop");
  assert.equal((await worker.request("closesave")).whole, false);
  assert.throws(() => new MsrpFileOffer(core, { ...offered, offset: 5 }).accept(file), /not the rest/);
});

test("a file goes to a place for files", async (t) => {
  const { core } = await scriptedCore(t);
  for (const place of ["a.txt", {}, null, { kind: "directory" }]) assert.throws(() => new MsrpIncomingFile(core, { name: "a", type: "", size: null }, place), TypeError);
  const stream = new WritableStream();
  stream.getWriter();
  assert.throws(() => new MsrpIncomingFile(core, { name: "a", type: "", size: null }, stream), /locked/);
});

test("with the core all ends", async (t) => {
  const { core } = await scriptedCore(t);
  const file = new MsrpIncomingFile(core, { name: "a", type: "", size: null });
  const taking = file._take({ incoming: 3 });
  core.stop(new MsrpError("gone"));
  await assert.rejects(file.verified, /gone/);
  await taking;
  assert.equal(file.state, "failed");
});
