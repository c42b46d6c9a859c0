import "./support/browser.mjs";
import assert from "node:assert/strict";
import { pausable, servePort, toSource } from "../../sources.js";
import { test, turns } from "./support/cases.mjs";

const mebibyte = 1 << 20;

/** Everything that a source yields. */
async function all(source) {
  const chunks = [];
  for (let chunk = await source.pull(); chunk; chunk = await source.pull()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** A Blob that notes how many of its pieces were read. Its end may be a failure. */
class PiecesBlob extends Blob {
  read = 0;
  canceled = false;
  #count;
  #failure;

  constructor(count, failure) {
    super([new Uint8Array(count)]);
    this.#count = count;
    this.#failure = failure;
  }

  stream() {
    return new ReadableStream(
      {
        pull: (controller) => {
          if (this.read < this.#count) controller.enqueue(new Uint8Array([++this.read]));
          else if (this.#failure) controller.error(this.#failure);
          else controller.close();
        },
        cancel: () => {
          this.canceled = true;
        },
      },
      { highWaterMark: 0 },
    );
  }
}

/** Octets that repeat only after 251, so that a part in the wrong place shows. */
function pattern(size) {
  const octets = new Uint8Array(size);
  for (let i = 0; i < size; i++) octets[i] = i % 251;
  return octets;
}

/**
 * A stream as a page sends it and the source that the core reads it by. The
 * stream reads nothing ahead by itself.
 */
function overPort(t, underlying) {
  const { port1, port2 } = new MessageChannel();
  t.after(() => port1.close());
  const stop = servePort(new ReadableStream(underlying, { highWaterMark: 0 }), port1);
  return { source: toSource(port2), port: port1, stop };
}

test("strings and octets go as they are", () => {
  const octets = new Uint8Array(3);
  assert.equal(toSource("text"), "text");
  assert.equal(toSource(octets), octets);
  const own = { pull: async () => null, cancel() {} };
  assert.equal(toSource(own), own);
});

test("a Blob is read whole and in order", async () => {
  const octets = pattern(3 * mebibyte + 17);
  assert.ok((await all(toSource(new Blob([octets])))).equals(octets));
});

test("an empty Blob is no octets", () => {
  assert.deepEqual(toSource(new Blob([])), new Uint8Array());
});

test("a Blob's end can be asked for again", async () => {
  const source = toSource(new Blob(["x"]));
  assert.equal((await source.pull()).length, 1);
  assert.equal(await source.pull(), null);
  assert.equal(await source.pull(), null);
});

test("a large Blob is not read before it is wanted, and then a little ahead", async () => {
  const blob = new PiecesBlob(8);
  const source = toSource(blob);
  await turns();
  assert.equal(blob.read, 0);
  await source.pull();
  await turns();
  assert.equal(blob.read, 2);
  await source.pull();
  await turns();
  assert.equal(blob.read, 3);
});

test("no more is read of a canceled Blob", async () => {
  const blob = new PiecesBlob(8);
  const source = toSource(blob);
  await source.pull();
  await turns();
  const { read } = blob;
  source.cancel();
  source.cancel();
  assert.equal(await source.pull(), null);
  assert.equal(blob.read, read);
  assert.ok(blob.canceled);
});

test("whoever pulls learns that a file cannot be read, and nobody else does", async () => {
  const source = toSource(new PiecesBlob(1, new DOMException("the file has changed", "NotReadableError")));
  await source.pull();
  await turns(); // what was read ahead has failed by now, unhandled by anyone
  await assert.rejects(source.pull(), { name: "NotReadableError" });
  await assert.rejects(source.pull(), { name: "NotReadableError" });
});

test("a stream goes over a port in order, to its end", async (t) => {
  const chunks = [pattern(5), pattern(0), pattern(100_000)];
  const { source } = overPort(t, {
    pull(controller) {
      if (chunks.length > 0) controller.enqueue(chunks.shift());
      else controller.close();
    },
  });
  assert.ok((await all(source)).equals(Buffer.concat([pattern(5), pattern(100_000)])));
});

test("a stream is read chunk by chunk, each when it is wanted", async (t) => {
  const events = [];
  const { source } = overPort(t, {
    pull(controller) {
      events.push("read");
      controller.enqueue(new Uint8Array(1));
    },
  });
  await turns();
  for (let i = 0; i < 3; i++) {
    events.push("want");
    await source.pull();
    await turns(); // in which a reader that hurries ahead would
  }
  assert.deepEqual(events, ["want", "read", "want", "read", "want", "read"]);
});

test("a stream's owner keeps the memory of its chunks", async (t) => {
  const memory = pattern(10);
  const { source } = overPort(t, { pull: (controller) => controller.enqueue(memory.subarray(2, 5)) });
  assert.deepEqual(await source.pull(), new Uint8Array([2, 3, 4]));
  assert.equal(memory.length, 10, "it was not transferred");
  memory[2] = 9;
  assert.deepEqual(await source.pull(), new Uint8Array([9, 3, 4]));
});

test("a stream learns that no more is wanted", async (t) => {
  let canceled;
  const over = new Promise((resolve) => (canceled = resolve));
  const { source } = overPort(t, { pull: (controller) => controller.enqueue(new Uint8Array(1)), cancel: canceled });
  await source.pull();
  source.cancel();
  source.cancel();
  await over;
});

test("a stream learns that no more is wanted while it has nothing", async (t) => {
  let canceled;
  const over = new Promise((resolve) => (canceled = resolve));
  const { source } = overPort(t, { cancel: canceled });
  source.pull();
  source.cancel();
  await over;
});

test("a stream that fails says why", async (t) => {
  let pulled = 0;
  const { source } = overPort(t, {
    pull(controller) {
      if (++pulled === 1) controller.enqueue(new Uint8Array(1));
      else controller.error(new RangeError("the camera is gone"));
    },
  });
  await source.pull();
  await assert.rejects(source.pull(), /the camera is gone/);
});

test("a stream that fails with what is no Error says that", async (t) => {
  const { source } = overPort(t, { pull: (controller) => controller.error("gone") });
  await assert.rejects(source.pull(), /^Error: gone$/);
});

for (const [what, chunk] of [["a string", "text"], ["a number", 7], ["an ArrayBuffer", new ArrayBuffer(4)], ["nothing", undefined], ["wide numbers", new Uint16Array(2)]]) {
  test(`a stream of ${what} is refused, and told so, rather than sent as something else`, async (t) => {
    let canceled;
    const over = new Promise((resolve) => (canceled = resolve));
    const { source } = overPort(t, { pull: (controller) => controller.enqueue(chunk), cancel: canceled });
    await assert.rejects(source.pull(), /Uint8Array/);
    await over;
  });
}

test("a stream ends with the message that it is for, even if the core is gone", async (t) => {
  let canceled;
  const over = new Promise((resolve) => (canceled = resolve));
  const { stop } = overPort(t, { cancel: canceled });
  const reason = new Error("the message failed");
  stop(reason);
  assert.equal(await over, reason);
});

test("a source that may be paused comes in pieces", async () => {
  const octets = new Uint8Array(mebibyte + 5).map((_, at) => at % 251);
  const source = pausable(toSource(new Blob([octets])), () => {});
  let largest = 0;
  const pull = async () => {
    const piece = await source.pull();
    largest = Math.max(largest, piece?.length ?? 0);
    return piece;
  };
  assert.ok((await all({ pull })).equals(octets));
  assert.equal(largest, mebibyte / 4);
});

test("a source that is paused yields nothing until it goes on, or is over", async () => {
  let over = 0;
  const blob = new PiecesBlob(3);
  const source = pausable(toSource(blob), () => over++);
  assert.deepEqual([...(await source.pull())], [1]);
  source.pause(true);
  source.pause(true);
  let pulled;
  source.pull().then((piece) => (pulled = piece));
  await turns();
  assert.equal(pulled, undefined);
  source.pause(false);
  await turns();
  assert.deepEqual([...pulled], [2]);
  source.pause(true);
  const last = source.pull();
  assert.equal(over, 0);
  source.cancel();
  assert.equal(await last, null);
  assert.equal(over, 1);
  assert.equal(blob.canceled, true);
});
