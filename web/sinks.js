// Where files go that are received.

/** @typedef {{write(piece: Uint8Array<ArrayBuffer>): unknown, close(): unknown, abort(): unknown}} Sink piece is used again afterwards; close returns a Blob where that is the place */
/** @typedef {FileSystemFileHandle | MessagePort | undefined} Destination */

/**
 * @param {Destination} destination
 * @returns {Promise<Sink>}
 */
export async function openSink(destination) {
  if (!destination) return blobSink();
  if (destination instanceof MessagePort) return portSink(destination);
  if (/** @type {any} */ (destination).createSyncAccessHandle) {
    try {
      return syncSink(await /** @type {any} */ (destination).createSyncAccessHandle());
    } catch (error) {
      // Only files of the origin's own can be written so, and only in a worker.
      if (/** @type {Error} */ (error).name !== "InvalidStateError") throw error;
    }
  }
  return destination.createWritable();
}

/** @returns {Sink} */
function blobSink() {
  /** Each is the browser's to keep, and need not stay in memory. @type {Blob[]} */
  const parts = [];
  return {
    write: (piece) => parts.push(new Blob([piece])),
    close: () => new Blob(parts),
    abort: () => (parts.length = 0),
  };
}

/**
 * @param {{write(piece: Uint8Array, options: {at: number}): number, truncate(size: number): void, flush(): void, close(): void}} handle
 * @returns {Sink}
 */
function syncSink(handle) {
  let at = 0;
  handle.truncate(0);
  return {
    write(piece) {
      const n = handle.write(piece, { at });
      at += n;
      // Chromium without a profile on disk returns 2^32 - 8 where no room is left.
      if (n !== piece.length) throw new DOMException("", "QuotaExceededError");
    },
    close() {
      handle.flush();
      handle.close();
    },
    abort() {
      handle.truncate(0);
      handle.close();
    },
  };
}

/**
 * Writes to what the page serves with serveWriter.
 * @param {MessagePort} port
 * @returns {Sink}
 */
function portSink(port) {
  /** @param {object} message @param {Transferable[]} transfer */
  const ask = (message, transfer) =>
    new Promise((resolve, reject) => {
      port.onmessage = ({ data }) => (data.error === undefined ? resolve(undefined) : reject(new Error(data.error)));
      port.postMessage(message, transfer);
    });
  return {
    write(piece) {
      const copy = piece.slice();
      return ask({ piece: copy }, [copy.buffer]);
    },
    close: () => ask({ close: true }, []).finally(() => port.close()),
    abort() {
      port.postMessage({ abort: true });
      port.close();
    },
  };
}

/**
 * Writes to a stream what a portSink at the other end of port is given.
 * @param {WritableStream<Uint8Array>} stream
 * @param {MessagePort} port
 */
export function serveWriter(stream, port) {
  const writer = stream.getWriter();
  writer.closed.catch(() => {}); // it is told with what is written
  port.onmessage = async ({ data }) => {
    try {
      if (data.piece) await writer.write(data.piece);
      else if (data.close) await writer.close();
      else await writer.abort(new DOMException("The file was given up.", "AbortError"));
      port.postMessage({});
    } catch (error) {
      port.postMessage({ error: error instanceof Error ? error.message : String(error) });
    }
    if (!data.piece) port.close();
  };
}
