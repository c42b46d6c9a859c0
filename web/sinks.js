// Where files go that are received.

/** @typedef {{write(piece: Uint8Array<ArrayBuffer>): unknown, close(): unknown, abort(): unknown}} Sink piece is used again afterwards; close returns a Blob where that is the place */
/** @typedef {FileSystemFileHandle | MessagePort | undefined} Destination */

/**
 * @param {Destination} destination
 * @param {number} at how much of the file is there, and stays
 * @returns {Promise<Sink>}
 */
export async function openSink(destination, at) {
  if (!destination) return blobSink();
  if (destination instanceof MessagePort) return portSink(destination);
  if (/** @type {any} */ (destination).createSyncAccessHandle) {
    /** @type {SyncHandle | undefined} */
    let handle;
    try {
      handle = await /** @type {any} */ (destination).createSyncAccessHandle();
    } catch (error) {
      // Only files of the origin's own can be written so, and only in a worker.
      if (/** @type {Error} */ (error).name !== "InvalidStateError") throw error;
    }
    if (handle) return syncSink(handle, at);
  }
  if (!destination.createWritable) throw new Error("this browser writes only files of the origin's own, and only in a worker");
  const stream = await destination.createWritable({ keepExistingData: at > 0 });
  if (at > 0) await stream.seek(at);
  return stream;
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

/** @typedef {{write(piece: Uint8Array, options: {at: number}): number, truncate(size: number): void, flush(): void, close(): void}} SyncHandle */

/**
 * @param {SyncHandle} handle
 * @param {number} at
 * @returns {Sink}
 */
function syncSink(handle, at) {
  handle.truncate(at);
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
 * Writes to what the page serves with serveWriter, which is also who gives it up.
 * @param {MessagePort} port
 * @returns {Sink}
 */
function portSink(port) {
  let giveUp = () => {};
  /** @param {object} message @param {Transferable[]} transfer */
  const ask = (message, transfer) =>
    new Promise((resolve, reject) => {
      giveUp = () => reject(new Error("the file was given up"));
      port.onmessage = ({ data: { error } }) => (error ? reject(Object.assign(new Error(error.message), { name: error.name })) : resolve(undefined));
      port.postMessage(message, transfer);
    });
  return {
    write(piece) {
      const copy = piece.slice();
      return ask({ piece: copy }, [copy.buffer]);
    },
    close: () => ask({ close: true }, []).finally(() => port.close()),
    abort() {
      giveUp();
      port.close();
    },
  };
}

/**
 * Writes to a stream what a portSink at the other end of port is given.
 * @param {WritableStream<Uint8Array>} stream
 * @param {MessagePort} port
 * @returns {(reason: unknown) => void} what gives the stream up
 */
export function serveWriter(stream, port) {
  const writer = stream.getWriter();
  writer.closed.catch(() => {}); // it is told with what is written
  port.onmessage = async ({ data }) => {
    try {
      if (data.piece) await writer.write(data.piece);
      else await writer.close();
      port.postMessage({});
    } catch (error) {
      const { name, message } = error instanceof Error ? error : { name: "Error", message: String(error) };
      port.postMessage({ error: { name, message } });
    }
    if (data.close) port.close();
  };
  return (reason) => {
    writer.abort(reason).catch(() => {});
    port.close();
  };
}
