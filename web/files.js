// Files beside the core: hashed while they flow, and written without passing
// the page.

import { sha1 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { openSink } from "./sinks.js";

/** How much of a message is fetched at once. */
export const readSize = 1 << 20;
/** How much is written at once: browsers write small pieces slowly. */
const writeSize = 256 << 10;
/** The least time between two events of progress, in milliseconds. */
const progressEvery = 20;

/** @typedef {"sha-1" | "sha-256"} Algorithm */
/** @typedef {import("./sinks.js").Destination} Destination */

const hashes = { "sha-1": sha1, "sha-256": sha256 };

/** @param {Uint8Array} sum In the form of RFC 5547, section 6. */
function format(sum) {
  return Array.from(sum, (octet) => octet.toString(16).padStart(2, "0").toUpperCase()).join(":");
}

/**
 * The hashes of a whole file.
 * @param {Blob} file
 * @returns {Promise<Record<Algorithm, string>>}
 */
export async function hashFile(file) {
  const [one, other] = [sha1.create(), sha256.create()];
  const reader = file.stream().getReader();
  for (let { done, value } = await reader.read(); !done && value; { done, value } = await reader.read()) {
    one.update(value);
    other.update(value);
  }
  return { "sha-1": format(one.digest()), "sha-256": format(other.digest()) };
}

/** An error that the page is told of as it is. */
export class FileError extends Error {
  /**
   * @param {string} message
   * @param {"storage" | "mismatch"} kind
   */
  constructor(message, kind) {
    super(message);
    this.kind = kind;
  }
}

/** A file that is received, in as many messages as it takes. */
export class Saving {
  /** Octets that are here. */
  octets = 0;
  #hash;
  #sink;
  #buffer = new Uint8Array(writeSize + readSize);
  #filled = 0;
  #paused = Promise.resolve();
  #resume = () => {};
  #closed = false;

  /**
   * @param {Destination} destination
   * @param {Algorithm} algorithm
   */
  constructor(destination, algorithm) {
    this.#hash = hashes[algorithm].create();
    this.#sink = openSink(destination);
    this.#sink.catch(() => {}); // it is told when something is written
  }

  /**
   * Takes a message to its end.
   * @param {() => Promise<Uint8Array<ArrayBuffer> | null>} next fetches a piece of it
   * @param {{skip: number, most: number}} part how much of it is here already, and how large the file is at most
   * @param {(octets: number) => void} tell
   * @returns {Promise<number>} how many octets are here
   */
  async take(next, { skip, most }, tell) {
    let told = 0;
    try {
      for (;;) {
        await this.#paused;
        const piece = await next();
        if (!piece) return this.octets;
        const known = Math.min(skip, piece.length);
        skip -= known;
        await this.#write(piece.subarray(known), most);
        const now = Date.now();
        if (now - told < progressEvery) continue;
        told = now;
        tell(this.octets);
      }
    } finally {
      tell(this.octets);
    }
  }

  /**
   * @param {Uint8Array<ArrayBuffer>} piece
   * @param {number} most
   */
  async #write(piece, most) {
    if (this.octets + piece.length > most) throw new FileError("The other side sends more than the file has that it offered. Ask there for the file again.", "mismatch");
    this.#hash.update(piece);
    this.octets += piece.length;
    for (let at = 0; at < piece.length; ) {
      const n = Math.min(piece.length - at, this.#buffer.length - this.#filled);
      this.#buffer.set(piece.subarray(at, (at += n)), this.#filled);
      this.#filled += n;
      if (this.#filled >= writeSize) await this.#flush();
    }
  }

  async #flush() {
    const filled = this.#filled;
    this.#filled = 0;
    await storing(async () => (await this.#sink).write(this.#buffer.subarray(0, filled)));
    if (this.#closed) throw new FileError("The file was given up.", "storage");
  }

  /** Ends the file. Returns its hash, and what it is kept in if the page named no place. */
  async finish() {
    if (this.#filled > 0) await this.#flush();
    this.#closed = true;
    const blob = await storing(async () => (await this.#sink).close());
    return { sum: format(this.#hash.digest()), blob };
  }

  /** Gives up what is here. */
  async abort() {
    this.pause(false);
    if (this.#closed) return;
    this.#closed = true;
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
