// Bodies on their way out, as the core wants them: a string, a Uint8Array, or
// an object whose pull() promises the next Uint8Array and at the end null.

/** @typedef {{pull(): Promise<Uint8Array | null>, cancel(): void}} Source */

/** The most that still goes out of a source that is paused. */
const lastPiece = 256 << 10;

/**
 * A source that can be stopped for a while.
 * @param {Source} source
 * @param {() => void} over called when nothing more will be pulled
 * @returns {Source & {pause(paused: boolean): void}}
 */
export function pausable(source, over) {
  let going = Promise.resolve();
  let resume = () => {};
  /** What was pulled and not passed on: Firefox has Blobs in memory as one piece. @type {Uint8Array | null} */
  let rest = null;
  return {
    async pull() {
      await going;
      const piece = rest ?? (await source.pull());
      rest = piece && piece.length > lastPiece ? piece.subarray(lastPiece) : null;
      return piece && piece.subarray(0, lastPiece);
    },
    cancel() {
      rest = null;
      resume();
      source.cancel();
      over();
    },
    pause(paused) {
      resume();
      if (paused) going = new Promise((resolve) => (resume = () => resolve(undefined)));
    },
  };
}

/**
 * @param {string | Uint8Array | Blob | MessagePort | Source} body
 * @returns {string | Uint8Array | Source}
 */
export function toSource(body) {
  if (body instanceof Blob) return body.size > 0 ? blobSource(body) : new Uint8Array();
  if (body instanceof MessagePort) return portSource(body);
  return body;
}

/**
 * Reads one piece ahead of who pulls. A stream costs less than slices: Chromium
 * makes a Blob of its own of each of those.
 * @param {Blob} blob
 * @returns {Source}
 */
function blobSource(blob) {
  /** @type {ReadableStreamDefaultReader<Uint8Array> | undefined} */
  let reader;
  /** @type {Promise<ReadableStreamReadResult<Uint8Array>> | undefined} */
  let ahead;
  const read = () => {
    reader ??= blob.stream().getReader();
    const piece = reader.read();
    piece.catch(() => {}); // it is told to whoever pulls
    return piece;
  };
  return {
    async pull() {
      const { value } = await (ahead ?? read());
      if (value) ahead = read();
      return value ?? null;
    },
    cancel() {
      ahead = Promise.resolve({ done: true, value: undefined });
      reader?.cancel().catch(() => {});
    },
  };
}

/**
 * What the page serves with servePort.
 * @param {MessagePort} port
 * @returns {Source}
 */
function portSource(port) {
  /** @type {{resolve: (chunk: Uint8Array | null) => void, reject: (error: Error) => void} | undefined} */
  let waiting;
  port.onmessage = ({ data }) => {
    if (data.error) waiting?.reject(new Error(data.error));
    else waiting?.resolve(data.chunk);
    waiting = undefined;
  };
  return {
    pull: () =>
      new Promise((resolve, reject) => {
        waiting = { resolve, reject };
        port.postMessage("pull");
      }),
    cancel: () => {
      port.postMessage("cancel");
      port.close();
    },
  };
}

/**
 * Reads a stream for a portSource at the other end of port.
 * @param {ReadableStream<Uint8Array>} stream
 * @param {MessagePort} port
 * @returns {(reason?: unknown) => void} what cancels the stream
 */
export function servePort(stream, port) {
  const reader = stream.getReader();
  const cancel = (/** @type {unknown} */ reason) => {
    reader.cancel(reason).catch(() => {});
    port.close();
  };
  port.onmessage = async ({ data }) => {
    if (data === "cancel") {
      cancel(undefined);
      return;
    }
    try {
      const { done, value } = await reader.read();
      if (done) {
        port.postMessage({ chunk: null });
        port.close();
        return;
      }
      if (!(value instanceof Uint8Array)) throw new TypeError("a stream to send must be of Uint8Array: put text through a TextEncoderStream");
      // The chunk may be a view on memory that the page goes on to use.
      const chunk = new Uint8Array(value);
      port.postMessage({ chunk }, [chunk.buffer]);
    } catch (error) {
      port.postMessage({ error: error instanceof Error ? error.message : String(error) });
      cancel(error);
    }
  };
  return cancel;
}
