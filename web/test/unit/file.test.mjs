import "./support/browser.mjs";
import assert from "node:assert/strict";
import { MsrpError } from "../../errors.js";
import { MsrpFileOffer, MsrpIncomingFile } from "../../file.js";
import { safeName } from "../../filename.js";
import { test, turns } from "./support/cases.mjs";
import { scriptedCore } from "./support/scripted.mjs";

/** What the core reads of an offer: that of RFC 5547, section 9.1. */
const offered = {
  ...{ name: "My cool picture.jpg", type: "image/jpeg", size: 32349, offset: 0, end: 32349 },
  "sha-1": "72:24:5f:E8:65:3D:DA:F3:71:36:2F:86:D4:71:91:3E:E4:A2:CE:2E",
};
const sum = offered["sha-1"].toUpperCase();

test("what the page is told of an offer", async (t) => {
  const { core } = await scriptedCore(t);
  const { name, type, size, hashes, offset } = new MsrpFileOffer(core, offered);
  assert.deepEqual([name, type, size, hashes, offset], ["My cool picture.jpg", "image/jpeg", 32349, { "sha-1": sum }, 0]);
  const bare = new MsrpFileOffer(core, { name: "", type: "", size: -1, offset: 5, end: -1 });
  assert.deepEqual([bare.name, bare.type, bare.size, bare.hashes, bare.offset], [null, "application/octet-stream", null, {}, 5]);
  assert.equal(new MsrpFileOffer(core, { ...offered, name: '../x/"a".txt' }).name, "_a_.txt");
});

/** A file that has failed with that many octets. */
async function broken(t, received) {
  const { core, worker } = await scriptedCore(t);
  const file = new MsrpFileOffer(core, offered).accept();
  const { file: number, begun, algorithm } = await worker.serve("opensave");
  assert.deepEqual([begun, algorithm], [false, "sha-1"]);
  const taking = file._take({ incoming: 3 }, { offset: 0, end: 32349 });
  const { id, ...request } = await worker.request("save");
  assert.deepEqual(request, { op: "save", file: number, incoming: 3, data: undefined, offset: 0, end: 32349 });
  worker.say({ event: "saved", message: number, octets: received });
  worker.say({ id, error: { message: "msrp: lost", kind: "lost" } });
  await worker.serve("drop");
  await taking;
  await assert.rejects(file.verified, { kind: "lost" });
  assert.equal(file.received, received);
  return { core, worker, file, number };
}

test("only the rest of the same file follows, and without a gap", async (t) => {
  const { core, worker, file, number } = await broken(t, 20000);
  const offer = (change) => new MsrpFileOffer(core, { ...offered, offset: 10000, ...change });
  assert.throws(() => offer({ offset: 20001 }).accept(file), /from octet 20000 on/);
  assert.throws(() => offer({ size: 32350 }).accept(file), /cannot be the rest of this one/);
  assert.throws(() => offer({ "sha-1": "00" }).accept(file), /cannot be the rest of this one/);
  assert.throws(() => offer({}).accept(), /accept it to what has the beginning/);
  assert.throws(() => offer({}).accept(new WritableStream()), /accept it to what has the beginning/);
  assert.equal(file.state, "failed");
  assert.equal(offer({}).accept(file), file);
  assert.equal(file.state, "waiting");
  const taking = file._take({ incoming: 4 }, { offset: 10000, end: 32349 });
  const { id, offset } = await worker.request("save");
  assert.equal(offset, 10000);
  worker.say({ id, result: 32349 });
  assert.deepEqual({ ...(await worker.serve("finishsave")), id: 0 }, { op: "finishsave", file: number, hash: sum, id: 0 });
  await taking;
  await file.verified;
  assert.throws(() => offer({}).accept(file), /cannot be the rest/);
});

test("a part in the middle is taken, and the rest can follow", async (t) => {
  const { core, worker, file } = await broken(t, 100);
  const offer = new MsrpFileOffer(core, { ...offered, offset: 100, end: 200 });
  offer.accept(file);
  await offer._decided;
  file._take({ incoming: 4 }, offer._part);
  const { id, end } = await worker.request("save");
  assert.equal(end, 200);
  worker.say({ id, result: 200 });
  await assert.rejects(file.verified, /up to 200 were offered/);
  assert.deepEqual([file.state, file.received], ["failed", 200]);
  assert.equal(new MsrpFileOffer(core, { ...offered, offset: 200 }).accept(file), file);
});

test("what was given up does not go on, and is free when that is told", async (t) => {
  const { core, worker, file } = await broken(t, 20000);
  const other = new MsrpIncomingFile(core, { name: "a", type: "", size: null });
  await worker.serve("opensave");
  const taking = other._take({ incoming: 4 });
  const { id } = await worker.request("save");
  let told = false;
  other.verified.catch(() => (told = true));
  other.abort("enough");
  assert.equal((await worker.serve("drop")).incoming, 4);
  worker.say({ id, error: { message: "the message is over" } });
  const dropping = await worker.request("dropsave");
  await turns();
  assert.equal(told, false);
  worker.say({ id: dropping.id, result: null });
  await taking;
  assert.equal(await other.verified.catch((error) => error), "enough");
  file.abort();
  await worker.serve("dropsave");
  assert.throws(() => new MsrpFileOffer(core, { ...offered, offset: 5 }).accept(file), /cannot be the rest/);
});

test("a file of one core is none of another's", async (t) => {
  const { file } = await broken(t, 20000);
  const { core } = await scriptedCore(t);
  assert.throws(() => new MsrpFileOffer(core, { ...offered, offset: 5 }).accept(file), /cannot be the rest/);
});

test("a signal stops what was accepted", async (t) => {
  const { core } = await scriptedCore(t);
  const offer = new MsrpFileOffer(core, offered);
  assert.throws(() => offer.accept(undefined, { signal: AbortSignal.abort("no") }), (reason) => reason === "no");
  const stopping = new AbortController();
  const file = offer.accept(undefined, { signal: stopping.signal });
  stopping.abort("enough");
  core.stop(new MsrpError("gone")); // what would answer
  assert.equal(await file.verified.catch((error) => error), "enough");
});

test("a file goes to a place for files", async (t) => {
  const { core } = await scriptedCore(t);
  for (const place of ["a.txt", {}, null, { kind: "directory" }]) assert.throws(() => new MsrpIncomingFile(core, { name: "a", type: "", size: null }, place), TypeError);
  const stream = new WritableStream();
  stream.getWriter();
  assert.throws(() => new MsrpIncomingFile(core, { name: "a", type: "", size: null }, stream), /locked/);
});

test("with the core all ends, the stream that is written to as well", async (t) => {
  const { core } = await scriptedCore(t);
  const gone = new MsrpError("gone");
  let aborted;
  const taken = new MsrpIncomingFile(core, { name: "a", type: "", size: null }, new WritableStream({ abort: (reason) => void (aborted = reason) }));
  const taking = taken._take({ incoming: 3 });
  const waits = new MsrpIncomingFile(core, { name: "a", type: "", size: null });
  core.stop(gone);
  for (const file of [taken, waits]) {
    await assert.rejects(file.verified, gone);
    assert.equal(file.state, "failed");
  }
  await taking;
  assert.equal(aborted, gone);
});

// The same as in TestSafeName of the Go package file, but for what no string has.
for (const [name, safe] of [
  ["My cool picture.jpg", "My cool picture.jpg"],
  ["Grüße ☃ 日本.txt", "Grüße ☃ 日本.txt"],
  ["-rf", "-rf"],
  ["../../etc/passwd", "passwd"],
  ["C:\\Windows\\system32\\cmd.exe", "cmd.exe"],
  ["c:autoexec.bat", "c_autoexec.bat"],
  ["dir/", "dir"],
  ["dir\\/\\", "dir"],
  ["a\x00b\x1b[31m\x7f.txt", "ab[31m.txt"],
  ["a\tb\r\nc", "a b  c"],
  ["a\u00a0b\u3000c\u2028d", "a b c d"],
  ["photo\u202egpj.exe", "photogpj.exe"],
  ["\u2066a\u2069\u200e\u200f\u061c\ufeff\u200b.txt", "a.txt"],
  ["a\u0085b\u009fc", "a bc"],
  ["a\ud800.txt", "a_.txt"],
  ['a<b>c:d"e|f?g*h', "a_b_c_d_e_f_g_h"],
  [".bashrc", "bashrc"],
  ["..", null],
  [" . . a . . ", "a"],
  ["\u200b.htaccess", "htaccess"],
  ["setup.exe. .", "setup.exe"],
  ["CON", "_CON"],
  ["Aux .txt", "_Aux .txt"],
  ["nul.tar.gz", "_nul.tar.gz"],
  ["COM¹.txt", "_COM¹.txt"],
  ["conin$", "_conin$"],
  [".con", "_con"],
  ["c\u200bon", "_con"],
  ["COM10", "COM10"],
  ["console", "console"],
  ["", null],
  ["\u202e", null],
  [`${"ü".repeat(200)}.jpeg`, `${"ü".repeat(97)}.jpeg`],
  ["ü".repeat(200), "ü".repeat(100)],
  [`a${"ü".repeat(200)}`, `a${"ü".repeat(99)}`],
  ["a ".repeat(150), "a ".repeat(100).trim()],
  [`a.${"ü".repeat(200)}`, `a.${"ü".repeat(99)}`],
  [".a".repeat(300), `a${".a".repeat(99)}`],
]) {
  test(`a safe name for ${JSON.stringify(name).slice(0, 50)}`, () => {
    assert.equal(safeName(name), safe);
    if (safe) assert.equal(safeName(safe), safe);
  });
}
