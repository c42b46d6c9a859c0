// A file that is received: beside the core, it is hashed and written without
// passing the page.

import { Hash, hashFile } from "./hash.js";
import { openSink } from "./sinks.js";

/** How much of a message is fetched at once. */
export const readSize = 1 << 20;
/** How much is written at once: browsers write small pieces slowly. */
const writeSize = 256 << 10;
/** The least time between two events of progress, in milliseconds. */
const progressEvery = 20;

/** @typedef {import("./hash.js").Algorithm} Algorithm */
/** @typedef {import("./sinks.js").Destination} Destination */

/** An error that the page is told of as it is. */
export class FileError extends Error {
  /**
   * @param {string} message
   * @param {"storage" | "mismatch" | "failed"} kind
   */
  constructor(message, kind) {
    super(message);
    this.kind = kind;
  }
}

/** In as many messages as it takes, one after the other. */
export class Saving {
  #octets = 0;
  #algorithm;
  #hash;
  #sink;
  /** What is not written yet. @type {Uint8Array<ArrayBuffer> | undefined} */
  #buffer;
  #filled = 0;
  #paused = Promise.resolve();
  #resume = () => {};
  #over = new AbortController();

  /**
   * @param {Destination} destination
   * @param {Algorithm} algorithm
   * @param {boolean} begun whether the beginning of the file is there
   */
  constructor(destination, algorithm, begun) {
    this.#algorithm = algorithm;
    this.#hash = new Hash(algorithm);
    this.#sink = this.#open(destination, begun);
    this.ready = this.#sink.then(() => {});
  }

  /**
   * @param {Destination} destination
   * @param {boolean} begun
   */
  async #open(destination, begun) {
    if (begun) {
      const file = await storing(() => /** @type {FileSystemFileHandle} */ (destination).getFile());
      await hashFile(file, [this.#hash], this.#over.signal);
      this.#octets = file.size;
    }
    const sink = await storing(() => openSink(destination, this.#octets));
    if (!this.#over.signal.aborted) return sink;
    await sink.abort();
    throw this.#over.signal.reason;
  }

  /**
   * Takes a message to its end.
   * @param {() => Promise<Uint8Array<ArrayBuffer> | null>} next fetches a piece of it
   * @param {{offset: number, end: number | null}} part where in the file it begins, and ends if that is known
   * @param {(octets: number) => void} tell
   * @returns {Promise<number>} how many octets are here
   */
  async take(next, { offset, end }, tell) {
    await this.#sink;
    let skip = this.#octets - offset;
    if (skip < 0) throw new FileError(`The part of the file begins behind the ${this.#octets} octets that are here. Ask for one from there on.`, "failed");
    let told = 0;
    try {
      for (;;) {
        await this.#paused;
        const piece = await next();
        if (!piece) break;
        const known = Math.min(skip, piece.length);
        skip -= known;
        if (end !== null && this.#octets - skip - known + piece.length > end) throw new FileError("The other side sends more than the file has that it offered. Ask there for the file again.", "mismatch");
        await this.#write(piece.subarray(known));
        const now = Date.now();
        if (now - told < progressEvery) continue;
        told = now;
        tell(this.#octets);
      }
    } finally {
      tell(this.#octets);
    }
    const at = this.#octets - skip;
    if (end === null ? skip > 0 : at < end) throw new FileError(`The file ended after ${at} octets of ${end ?? this.#octets}. Ask for it again.`, "mismatch");
    return this.#octets;
  }

  /** @param {Uint8Array<ArrayBuffer>} piece */
  async #write(piece) {
    this.#hash.add(piece);
    this.#octets += piece.length;
    this.#buffer ??= new Uint8Array(writeSize);
    for (let at = 0; at < piece.length; ) {
      const n = Math.min(piece.length - at, writeSize - this.#filled);
      this.#buffer.set(piece.subarray(at, (at += n)), this.#filled);
      this.#filled += n;
      if (this.#filled === writeSize) await this.#flush();
    }
  }

  async #flush() {
    const filled = this.#filled;
    this.#filled = 0;
    if (this.#buffer && filled > 0) await storing(async () => (await this.#sink).write(/** @type {Uint8Array<ArrayBuffer>} */ (this.#buffer).subarray(0, filled)));
    this.#over.signal.throwIfAborted();
  }

  /**
   * Ends the file, if it has that hash.
   * @param {string} [wanted]
   * @returns {Promise<unknown>} a Blob of it, if the page named no place
   */
  async finish(wanted) {
    const sink = await this.#sink;
    await this.#flush();
    const sum = this.#hash.sum();
    if (wanted !== undefined && wanted !== sum) throw new FileError(`What came is not the file that was offered: its ${this.#algorithm.toUpperCase()} differs. Ask for it again.`, "mismatch");
    return storing(() => sink.close());
  }

  /** Gives up what is here. */
  async abort() {
    this.pause(false);
    this.#over.abort();
    await (await this.#sink).abort();
  }

  /** @param {boolean} paused */
  pause(paused) {
    this.#resume();
    if (paused) this.#paused = new Promise((resolve) => (this.#resume = () => resolve(undefined)));
  }
}

/**
 * Tells what storing fails of.
 * @template T
 * @param {() => T} store
 */
async function storing(store) {
  try {
    return await store();
  } catch (error) {
    const { name, message } = /** @type {Error} */ (error);
    if (name === "QuotaExceededError") throw new FileError("There is no room for the file. Free some space, or choose another place.", "storage");
    throw new FileError(`The file cannot be written: ${message || name}`, "storage");
  }
}
