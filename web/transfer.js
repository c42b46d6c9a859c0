// Files that are sent: as a message, or offered by SDP (RFC 5547).

import { dispositionOf } from "./filename.js";
import { MsrpOutgoingMessage } from "./message.js";

/** @typedef {import("./rpc.js").Core} Core */
/** @typedef {import("./webmsrp.d.ts").MsrpFileOptions} FileOptions */

/**
 * How much of what the next hop has acknowledged is sent once more, where the peer
 * does not say what it has: a relay like ours has up to 2.25 MiB on its way, and
 * there may be two.
 */
const overlap = 5 << 20;

export class MsrpFileTransfer extends MsrpOutgoingMessage {
  #core;
  #file;
  #hash;
  /** @type {import("./webmsrp.d.ts").MsrpFileHashes | undefined} */
  #hashes;

  /**
   * @param {Core} core
   * @param {File | Blob} file
   * @param {FileOptions} options
   * @param {number | null} [end] of the part that is sent
   */
  constructor(core, file, options, end) {
    const resume = /** @type {MsrpFileTransfer | undefined} */ (options.resume);
    if (resume && (resume.state !== "failed" || resume.#file.size !== file.size)) throw new TypeError("resume is a transfer of the same file that failed");
    const known = options.offset ?? (resume ? Math.max(0, resume.offset + resume.acknowledged - overlap) : 0);
    if (!Number.isSafeInteger(known) || known < 0 || known > file.size) throw new RangeError("offset is how many octets of the file the peer has");
    if ((resume || known > 0) && !options.offer) throw new TypeError("the rest of a file has to be offered");
    const name = options.name ?? resume?.name ?? (file instanceof File ? file.name : "file");
    // The last octet goes once more: a part cannot be empty.
    const offset = Math.max(0, Math.min(known, file.size - 1));
    super(core, file.slice(offset, end ?? file.size, file.type), { ...options, disposition: options.disposition ?? dispositionOf(name) });
    this.#core = core;
    this.#file = file;
    this.#hash = options.hash !== false;
    this.#hashes = resume && resume.#hashes;
    this.name = name;
    this.offset = offset;
  }

  /** Resolves when the peer has confirmed it all. What it found in it, it does not tell. */
  get verified() {
    return this.delivered;
  }

  pause() {
    this._pause(true);
  }

  resume() {
    this._pause(false);
  }

  /** What is offered: it goes to the core. The file is read once for its hashes. */
  async _describe() {
    if (this.#hash && !this.#hashes) {
      const hashing = this.#core.call("hash", { message: this._number, file: this.#file });
      this._settled.then(() => this.#core.call("stophash", { message: this._number })).catch(() => {});
      this.#hashes = await hashing;
    }
    const { name, contentType, offset } = this;
    return { name, type: contentType.split(";")[0].trim(), size: this.#file.size, offset, ...this.#hashes };
  }
}
