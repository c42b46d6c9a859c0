// The hashes of files, in the form of RFC 5547, section 6.

import { sha1 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";

/** @typedef {"sha-1" | "sha-256"} Algorithm */

const algorithms = { "sha-1": sha1, "sha-256": sha256 };

/** A hash of what is added to it. */
export class Hash {
  #hash;

  /** @param {Algorithm} algorithm */
  constructor(algorithm) {
    this.#hash = algorithms[algorithm].create();
  }

  /** @param {Uint8Array} octets */
  add(octets) {
    this.#hash.update(octets);
  }

  /** Ends it. */
  sum() {
    return Array.from(this.#hash.digest(), (octet) => octet.toString(16).padStart(2, "0").toUpperCase()).join(":");
  }
}

/** How much is hashed at once: Firefox has Blobs in memory as one piece. */
const most = 1 << 20;

/**
 * Reads all of a file.
 * @param {Blob} file
 * @param {Pick<Hash, "add">[]} hashes
 * @param {AbortSignal} signal
 */
export async function hashFile(file, hashes, signal) {
  const reader = file.stream().getReader();
  signal.addEventListener("abort", () => reader.cancel().catch(() => {}), { once: true });
  for (;;) {
    const { done, value } = await reader.read();
    signal.throwIfAborted();
    if (done) return;
    for (let at = 0; at < value.length; at += most) {
      if (at > 0) await new Promise((resolve) => setTimeout(resolve)); // others have a turn
      for (const hash of hashes) hash.add(value.subarray(at, at + most));
    }
  }
}
