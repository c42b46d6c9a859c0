import "./support/browser.mjs";
import assert from "node:assert/strict";
import { startCore } from "../../host.js";
import { Queue } from "./support/queue.mjs";
import { test } from "./support/cases.mjs";

/** A section of a WebAssembly module: all of these are shorter than 128 octets. */
const section = (id, ...content) => [id, content.length, ...content];
const name = (text) => [text.length, ...Buffer.from(text)];

// (module
//   (import "gojs" "runtime.wasmExit" (func $exit (param i32)))
//   (memory (export "mem") 1)
//   (func (export "run") (param i32 i32) (call $exit (i32.const 0)))
//   (func (export "resume"))
//   (func (export "getsp") (result i32) (i32.const 0)))
//
// That is a program of Go that ends at once.
const ending = new Uint8Array([
  ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...section(1, 4, 0x60, 1, 0x7f, 0, 0x60, 2, 0x7f, 0x7f, 0, 0x60, 0, 0, 0x60, 0, 1, 0x7f),
  ...section(2, 1, ...name("gojs"), ...name("runtime.wasmExit"), 0, 0),
  ...section(3, 3, 1, 2, 3),
  ...section(5, 1, 0, 1),
  ...section(7, 4, ...name("mem"), 2, 0, ...name("run"), 0, 1, ...name("resume"), 0, 2, ...name("getsp"), 0, 3),
  ...section(10, 3, 6, 0, 0x41, 0, 0x10, 0, 0x0b, 2, 0, 0x0b, 4, 0, 0x41, 0, 0x0b),
]);

/** A page that notes what the core says and how it ends. */
function page() {
  const noted = { posted: new Queue(), exits: [] };
  return { ...noted, post: (message) => noted.posted.push(message), exited: (why) => noted.exits.push(why) };
}

const dataURL = (data, type) => `data:${type};base64,${Buffer.from(data).toString("base64")}`;

for (const type of ["application/wasm", "application/octet-stream"]) {
  test(`a core that ends before it is ready has not started (as ${type})`, async () => {
    const noted = page();
    await assert.rejects(startCore({ wasmURL: dataURL(ending, type) }, noted), /has ended/);
    assert.equal(noted.exits.length, 1);
  });
}

test("what is no core is refused", async () => {
  await assert.rejects(startCore({ wasmURL: dataURL(new Uint8Array([1, 2, 3]), "application/wasm") }, page()), WebAssembly.CompileError);
  await assert.rejects(startCore({ wasmURL: new URL("../../missing.wasm", import.meta.url).href }, page()), /missing\.wasm answered 404 Not Found: publish/);
  await assert.rejects(startCore({ wasmURL: dataURL("<!doctype html>", "text/html") }, page()), /answered a page of HTML: publish/);
});

test("a page of another build is refused", async () => {
  const wasmURL = new URL("../../msrp.wasm", import.meta.url).href;
  await assert.rejects(startCore({ wasmURL, integrity: "sha256-other" }, page()), /host\.js and webmsrp\.js are of two builds: publish/);
});

test("the real core answers what it cannot do, and goes on", async () => {
  const noted = page();
  const { handle } = await startCore({ wasmURL: new URL("../../msrp.wasm", import.meta.url).href }, noted);
  for (const [request, words] of [
    [{ id: 1, op: "session", client: 1 }, /client is closed/],
    [{ id: 2, op: "offer", session: 1 }, /session is closed/],
    [{ id: 3, op: "read", incoming: 1 }, /message is over/],
  ]) {
    handle(request);
    const { id, error } = await noted.posted.next();
    assert.equal(id, request.id);
    assert.match(error.message, words);
  }
  handle({ id: 4, op: "abort", message: 1 });
  assert.deepEqual(await noted.posted.next(), { id: 4, result: null });
  assert.deepEqual(noted.exits, []);
  assert.equal("webmsrpHost" in globalThis, false, "nothing stays behind");
});

test("a core that breaks leaves no WebSocket open", async (t) => {
  const { WebSocket } = globalThis;
  const { run } = Go.prototype;
  t.after(() => Object.assign(globalThis, { WebSocket }) && Object.assign(Go.prototype, { run }));
  const opened = new Queue();
  const closed = new Queue();
  globalThis.WebSocket = class {
    constructor() {
      opened.push(this);
    }
    close() {
      closed.push(this);
    }
  };
  let go;
  Go.prototype.run = function (instance) {
    go = this;
    return run.call(this, instance);
  };
  const noted = page();
  const { handle } = await startCore({ wasmURL: new URL("../../msrp.wasm", import.meta.url).href }, noted);
  handle({ id: 1, op: "connect", client: 1, url: "ws://example.com" });
  const socket = await opened.next();
  go._inst = { exports: { ...go._inst.exports, resume: () => assert.fail("broken") } };
  assert.throws(() => handle({ id: 2, op: "session", client: 1 }), /broken/);
  assert.deepEqual(noted.exits, ["broken"]);
  assert.equal(await closed.next(), socket);
});
