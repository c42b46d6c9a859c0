// Bodies on their way out, as the core wants them: a string, a Uint8Array, or
// an object whose pull() promises the next Uint8Array and at the end null.

/** How much of a Blob is read at once, and how far ahead. */
const sliceSize = 1 << 20;
const slicesAhead = 2;

/** @typedef {{pull(): Promise<Uint8Array | null>, cancel(): void}} Source */

/**
 * @param {string | Uint8Array | Blob | MessagePort | Source} body
 * @returns {string | Uint8Array | Source}
 */
export function toSource(body) {
  if (body instanceof Blob) return blobSource(body);
  if (body instanceof MessagePort) return portSource(body);
  return body;
}

/**
 * @param {Blob} blob
 * @returns {Source}
 */
function blobSource(blob) {
  let at = 0;
  /** @type {Promise<ArrayBuffer>[]} */
  const ahead = [];
  const fill = () => {
    while (ahead.length < slicesAhead && at < blob.size) {
      const slice = blob.slice(at, at + sliceSize).arrayBuffer();
      slice.catch(() => {}); // it is told to whoever pulls
      ahead.push(slice);
      at += sliceSize;
    }
  };
  return {
    async pull() {
      fill();
      const next = ahead.shift();
      fill();
      return next ? new Uint8Array(await next) : null;
    },
    cancel() {
      at = blob.size;
      ahead.length = 0;
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
