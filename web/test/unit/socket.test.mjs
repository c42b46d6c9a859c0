import assert from "node:assert/strict";
import { newImports } from "../../imports.js";
import { openSocket } from "../../socket.js";
import { test } from "./support/cases.mjs";

const octets = (text) => new TextEncoder().encode(text);
const text = (array) => new TextDecoder().decode(array);

/** A WebSocket, the core's memory, and what the core calls. */
function open(t) {
  const real = globalThis.WebSocket;
  t.after(() => (globalThis.WebSocket = real));
  let socket;
  globalThis.WebSocket = class {
    constructor() {
      socket = this;
    }
    close() {}
  };
  const buffer = new ArrayBuffer(64 << 10);
  const memory = (at, size) => new Uint8Array(buffer, at, size);
  const posted = [];
  const { sockets, functions } = newImports(memory, (...message) => posted.push(message));
  const opened = openSocket("ws://example.com", memory, () => {}, () => sockets.take(number));
  t.after(() => opened.close(1000, ""));
  const number = sockets.add(opened);
  const say = (message) => socket.onmessage({ data: octets(message).buffer });
  /** What the core sees of the next message. */
  const take = () => {
    const size = functions.next(number);
    functions.take(number, 16);
    return text(memory(16, size));
  };
  return { functions, opened, memory, posted, say, take, keep: () => functions.keep(number), next: () => functions.next(number) };
}

const head = "MSRP tid4 SEND\r\nTo-Path: msrp://a:1/b;tcp\r\n\r\n";
const body = `\r\n\r\n-------tid4${"x\r\n".repeat(3000)}`;
const end = "\r\n-------tid4+\r\n";

test("a long body stays with the browser, and reaches the page as it came", (t) => {
  const { functions, memory, posted, say, take, keep, next } = open(t);
  say(head + body + end);
  say(head + body + end);
  assert.equal(take(), head + end);
  const first = keep();
  assert.equal(keep(), 0, "it is had once");
  assert.equal(functions.size(first), body.length);
  assert.equal(take(), head + end);
  const second = keep();
  assert.equal(next(), -1);

  memory(0, 8).set(new Uint8Array(new Int32Array([first, functions.store(16, 4)]).buffer));
  functions.answer(7, 0, 2);
  const [[{ id, result }, transfer]] = posted;
  assert.equal(id, 7);
  assert.deepEqual(result.map(text), [body, "MSRP"]);
  assert.deepEqual(transfer, result.map((array) => array.buffer));

  functions.load(second, 16);
  assert.equal(text(memory(16, body.length)), body);
});

test("a WebSocket that was closed has nothing more", (t) => {
  const { functions, say, next, keep, opened } = open(t);
  say(head + body + end);
  opened.close(1000, "");
  assert.deepEqual([next(), keep(), functions.send(1, 0, 1), functions.buffered(1)], [-1, 0, -1, -1]);
});

test("what the core does not keep is gone with the next message", (t) => {
  const { say, take, keep } = open(t);
  say(head + body + end);
  say(`${head}short${end}`);
  take();
  assert.equal(take(), `${head}short${end}`);
  assert.equal(keep(), 0);
});

for (const [what, message] of [
  ["a short message", `${head}short${end}`],
  ["no empty line", `MSRP tid4 SEND\r\n${"x".repeat(9000)}${end}`],
  ["a header too long", `MSRP tid4 SEND\r\nX: ${"x".repeat(5000)}\r\n\r\n${body}${end}`],
  ["no transaction", "x".repeat(9000)],
  ["nothing but line ends", "\r\n".repeat(5000)],
]) {
  test(`the core sees all of ${what}`, (t) => {
    const { say, take, keep } = open(t);
    say(message);
    assert.equal(take(), message);
    assert.equal(keep(), 0);
  });
}
