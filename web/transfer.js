import { dispositionOf } from "./filename.js";
import { formatSelector } from "./file.js";
import { MsrpOutgoingMessage, newMessageId } from "./message.js";

/** @typedef {import("./rpc.js").Core} Core */
/** @typedef {import("./webmsrp.d.ts").MsrpFileOptions} FileOptions */

/**
 * How much of what the next hop has acknowledged is sent once more: a relay may
 * not have passed it on yet.
 */
const overlap = 2 << 20;

export class MsrpFileTransfer extends MsrpOutgoingMessage {
  #core;
  #file;
  #hash;
  /** @type {Promise<import("./webmsrp.d.ts").MsrpFileHashes> | undefined} */
  #hashes;

  /**
   * @param {Core} core
   * @param {File | Blob} file
   * @param {FileOptions} options
   */
  constructor(core, file, options) {
    const resume = /** @type {MsrpFileTransfer | undefined} */ (options.resume);
    if (resume && !options.offer) throw new TypeError("the rest of a file has to be offered");
    const name = options.name ?? resume?.name ?? (file instanceof File ? file.name : "file");
    // The last octet goes once more: a part cannot be empty.
    const offset = resume ? Math.max(0, Math.min(resume.offset + resume.acknowledged - overlap, file.size - 1)) : 0;
    super(core, file.slice(offset, file.size, file.type), { ...options, disposition: options.disposition ?? dispositionOf(name) });
    this.#core = core;
    this.#file = file;
    this.#hash = options.hash !== false;
    this.#hashes = resume?._hashes;
    this.name = name;
    this.offset = offset;
  }

  /** Resolves when the peer has confirmed it all. What it found in it, it does not tell. */
  get verified() {
    return this.delivered;
  }

  pause() {
    this.#pause(true);
  }

  resume() {
    this.#pause(false);
  }

  /** @param {boolean} paused */
  #pause(paused) {
    this.#core.call("pause", { message: this._number, paused }).catch(() => {});
  }

  get _hashes() {
    return this.#hashes;
  }

  /** What is offered (RFC 5547). The file is read once for its hashes. */
  async _describe() {
    if (this.#hash) this.#hashes ??= this.#core.call("hash", { file: this.#file });
    const hashes = (await this.#hashes) ?? {};
    const { name, offset } = this;
    const selector = formatSelector({ name, type: this.contentType, size: this.#file.size, hashes });
    return { selector, transferId: (newMessageId() + newMessageId()).slice(0, 32), start: offset ? offset + 1 : 0, stop: -1, direction: "sendonly" };
  }
}
