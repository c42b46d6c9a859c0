// Files that are received, offered by SDP (RFC 5547) or sent as a message, and
// those that a peer asks for.

import { MsrpError } from "./errors.js";
import { safeName } from "./filename.js";
import { deferred } from "./promise.js";
import { serveWriter } from "./sinks.js";

/** @typedef {import("./rpc.js").Core} Core */
/** @typedef {import("./webmsrp.d.ts").MsrpFileDestination} Destination */
/** @typedef {import("./webmsrp.d.ts").MsrpFileHashes} Hashes */
/** @typedef {{name: string | null, type: string, size: number | null, hashes?: Hashes}} Description as the peer has it */
/** @typedef {{offset: number, end: number | null}} Part where in the file it begins, and ends if that is known */
/** @typedef {{name: string, type: string, size: number, "sha-1"?: string, "sha-256"?: string, offset: number, end: number}} Told what the core read of a file, with -1 for what is not known */

const algorithms = /** @type {const} */ (["sha-1", "sha-256"]);
const binary = "application/octet-stream";

/**
 * @param {Told} told
 * @returns {Required<Description> & {part: Part}}
 */
export function describe(told) {
  const { name, type, size, offset, end } = told;
  const hashes = Object.fromEntries(algorithms.flatMap((algorithm) => (told[algorithm] ? [[algorithm, told[algorithm].toUpperCase()]] : [])));
  return { name: name || null, type, size: size < 0 ? null : size, hashes, part: { offset, end: end < 0 ? null : end } };
}

export class MsrpIncomingFile extends EventTarget {
  #core;
  #number;
  /** As the peer has them. */
  #name;
  #type;
  /** @type {Hashes} */
  #hashes;
  /** @type {import("./hash.js").Algorithm} */
  #algorithm = "sha-256";
  /** Opens the destination. */
  #open;
  #ready = Promise.resolve();
  /** @type {"waiting" | "receiving" | "received" | "failed"} */
  #state = "waiting";
  #received;
  /** @type {Error | undefined} */
  #error;
  /** @type {Blob | null} */
  #blob = null;
  /** The message that is being received. @type {number | undefined} */
  #incoming;
  /** Whether it cannot go on any more. */
  #over = false;
  /** Gives up the stream that is the destination. @type {(reason: unknown) => void} */
  #giveUpStream = () => {};
  #verified = deferred();

  /**
   * @param {Core} core
   * @param {Description} description
   * @param {Destination} [destination]
   * @param {{signal?: AbortSignal, offset?: number, asked?: boolean}} [options] offset: octets that the destination has of the file; asked: the peer will say what it is
   */
  constructor(core, { name, type, size, hashes = {} }, destination, { signal, offset = 0, asked = false } = {}) {
    super();
    this.#core = core;
    this.#number = core.number();
    this.#name = name ?? "";
    this.#type = type;
    this.name = safeName(this.#name);
    this.type = type || binary;
    this.size = size;
    this.#hashes = hashes;
    this.#received = offset;
    this.#verified.promise.catch(() => {}); // nobody has to wait
    /** @type {any} */
    let place = destination;
    /** @type {Transferable[]} */
    let transfer = [];
    if (destination instanceof WritableStream) {
      if (destination.locked) throw new TypeError("the stream is locked: somebody writes to it already");
      const { port1, port2 } = new MessageChannel();
      this.#giveUpStream = serveWriter(destination, port1);
      transfer = [(place = port2)];
    } else if (destination !== undefined && !(/** @type {any} */ (destination)?.kind === "file")) {
      throw new TypeError("a file is received to a FileSystemFileHandle or a WritableStream, or to nothing for a Blob");
    }
    this.#open = () => {
      this.#open = () => {};
      if (this.#hashes["sha-1"] && !this.#hashes["sha-256"]) this.#algorithm = "sha-1";
      this.#ready = this.#call("opensave", { destination: place, algorithm: this.#algorithm, begun: offset > 0 }, transfer).catch((error) => this.#giveUp(error));
    };
    if (!asked || offset > 0) this.#open();
    core.listen("message", this.#number, (event) => {
      if (event.event === "coreended") this.#giveUp(event.error);
      if (event.event !== "saved") return;
      this.#received = event.octets;
      this.dispatchEvent(new Event("progress"));
    });
    this._obey(signal);
  }

  get state() {
    return this.#state;
  }

  get received() {
    return this.#received;
  }

  get error() {
    return this.#error;
  }

  get blob() {
    return this.#blob;
  }

  /** Settles with the transfer that is under way, or the next one. */
  get verified() {
    return this.#verified.promise;
  }

  /** Resolves when the destination can be written, or the file was given up. Reading what stands there takes longer than a peer waits. */
  get _ready() {
    return this.#ready;
  }

  /** @param {string} op @param {object} fields @param {Transferable[]} [transfer] */
  #call(op, fields = {}, transfer) {
    return this.#core.call(op, { file: this.#number, ...fields }, transfer);
  }

  pause() {
    this.#call("pause", { paused: true }).catch(() => {});
  }

  resume() {
    this.#call("pause", { paused: false }).catch(() => {});
  }

  /** @param {unknown} [reason] */
  abort(reason) {
    this.#giveUp(/** @type {Error} */ (reason ?? new MsrpError("Receiving was stopped.", { kind: "aborted" })));
  }

  /** @param {AbortSignal | undefined} signal Stops the transfer that is under way, or the next one. */
  _obey(signal) {
    if (!signal) return;
    const abort = () => this.abort(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    this.verified.catch(() => {}).finally(() => signal.removeEventListener("abort", abort));
  }

  /** Has the peer stop. */
  #drop() {
    const incoming = this.#incoming;
    this.#incoming = undefined;
    if (incoming !== undefined) this.#core.call("drop", { incoming }).catch(() => {});
  }

  /** @param {Error} error Gives up what is here: it cannot go on. Then the place is free. */
  async #giveUp(error) {
    if (this.#over) return;
    this.#over = true;
    this.#giveUpStream(error);
    this.#drop();
    await this.#call("dropsave").catch(() => {});
    this.#core.listen("message", this.#number, undefined);
    this._fail(error);
  }

  /**
   * Has a part of a file that is described so follow. Throws where it cannot.
   * @param {Core} core
   * @param {Description} offered
   * @param {number} offset where in the file it begins
   */
  _continue(core, { size, hashes = {} }, offset) {
    const same = (size ?? this.size) === (this.size ?? size) && algorithms.every((a) => (hashes[a] ?? this.#hashes[a]) === (this.#hashes[a] ?? hashes[a]));
    if (core !== this.#core || this.#state !== "failed" || this.#over || !same) throw new MsrpError("The file that is offered cannot be the rest of this one: accept it as another.");
    if (offset > this.#received) throw new MsrpError(`The part that is offered begins behind what is here: ask for one from octet ${this.#received} on.`);
    this.#state = "waiting";
    this.#error = undefined;
    this.#verified = deferred();
    this.#verified.promise.catch(() => {});
  }

  /** What to ask a peer for: all that is not here of it. */
  _ask() {
    // The last octet goes once more: a part cannot be empty.
    const offset = Math.max(0, Math.min(this.#received, (this.size ?? Infinity) - 1));
    return { asked: true, name: this.#name, type: this.#type.split(";")[0].trim(), size: this.size ?? -1, offset, ...this.#hashes };
  }

  /** @param {Required<Description>} description What the peer says of the file, which is to come. */
  _learn({ name, type, size, hashes }) {
    this.#name ||= name ?? "";
    this.#type ||= type;
    this.name = safeName(this.#name);
    this.type = this.#type || binary;
    this.size ??= size;
    this.#hashes = { ...hashes, ...this.#hashes };
    this.#open();
  }

  /**
   * Receives a message, of which the page may have the beginning.
   * @param {{incoming?: number, data?: Uint8Array<ArrayBuffer>}} message
   * @param {Part | Promise<Part>} [part] of the file, all without it
   */
  async _take({ incoming, data }, part = { offset: 0, end: this.size }) {
    if (this.#state !== "waiting" || this.#over) {
      if (incoming !== undefined) this.#core.call("drop", { incoming }).catch(() => {});
      return;
    }
    this.#state = "receiving";
    this.#incoming = incoming;
    try {
      const { offset, end } = await part;
      this.#received = await this.#call("save", { incoming, data, offset, end });
      this.#incoming = undefined;
      if (end !== null && end !== this.size) throw new MsrpError(`Only the octets up to ${end} were offered: ask for the rest.`);
      const blob = await this.#call("finishsave", { hash: this.#hashes[this.#algorithm] });
      if (this.#over) return;
      this.#over = true;
      this.#core.listen("message", this.#number, undefined);
      this.#blob = blob instanceof Blob ? new Blob([blob], { type: this.type }) : null;
      this.size = this.#received;
      this.#state = "received";
      this.#verified.resolve();
      this.dispatchEvent(new Event("progress"));
    } catch (error) {
      const { kind } = /** @type {MsrpError} */ (error);
      if (kind === "storage" || kind === "mismatch") await this.#giveUp(/** @type {Error} */ (error)); // no more of it will help
      this.#drop(); // which may not have been begun
      if (!this.#over) this._fail(/** @type {Error} */ (error));
    }
  }

  /** @param {Error} error Ends the transfer. What is here stays, for another. */
  _fail(error) {
    if (this.#state === "received" || this.#state === "failed") return;
    this.#state = "failed";
    this.#error = error;
    this.#verified.reject(error);
    this.dispatchEvent(new Event("progress"));
  }
}

/** What a peer says of a file in its offer, until the page has decided. */
class FileQuestion {
  #decided = deferred();
  #over = false;

  /** @param {Told} told */
  constructor(told) {
    const { name, type, size, hashes, part } = describe(told);
    this.name = name;
    this.type = type;
    this.size = size;
    this.hashes = hashes;
    this.offset = part.offset;
    this.#decided.promise.catch(() => {});
  }

  reject() {
    this._check();
    this._decide();
  }

  _check() {
    if (this.#over) throw new MsrpError("The offer of the file was answered already, or is over.");
  }

  /** The page has decided. */
  _decide() {
    this.#over = true;
    this.#decided.resolve();
  }

  /** Resolves when the page has decided. */
  get _decided() {
    return this.#decided.promise;
  }

  /** @param {Error} error The session is over. */
  _end(error) {
    this.#over = true;
    this.#decided.reject(error);
  }
}

/** A file that the peer offers. */
export class MsrpFileOffer extends FileQuestion {
  #core;
  #described;
  /** What the page takes. @type {MsrpIncomingFile | undefined} */
  _file;

  /**
   * @param {Core} core
   * @param {Told} told
   */
  constructor(core, told) {
    super(told);
    this.#core = core;
    this.#described = describe(told);
    this.name = safeName(told.name);
    this.type ||= binary;
  }

  /** What is offered of the file. */
  get _part() {
    return this.#described.part;
  }

  /**
   * @param {Destination | MsrpIncomingFile} [destination]
   * @param {{signal?: AbortSignal}} [options]
   */
  accept(destination, { signal } = {}) {
    this._check();
    signal?.throwIfAborted();
    if (destination instanceof MsrpIncomingFile) {
      destination._continue(this.#core, this, this.offset);
      destination._learn(this.#described);
      destination._obey(signal);
      this._file = destination;
    } else {
      if (this.offset > 0 && !(destination && "kind" in destination)) throw new MsrpError("Only the rest of the file is offered: accept it to what has the beginning.");
      this._file = new MsrpIncomingFile(this.#core, this.#described, destination, { signal, offset: this.offset });
    }
    this._decide();
    return this._file;
  }

  /**
   * @param {Error} error
   * @override
   */
  _end(error) {
    super._end(error);
    if (this._file?.state === "waiting") this._file._fail(error);
  }
}

/** A file that the peer asks for. */
export class MsrpFileRequest extends FileQuestion {
  #send;
  /** What the page sends. @type {import("./transfer.js").MsrpFileTransfer | undefined} */
  _transfer;

  /**
   * @param {Told} told
   * @param {(file: File | Blob, options: import("./webmsrp.d.ts").MsrpFileOptions, part: Part) => import("./transfer.js").MsrpFileTransfer} send
   */
  constructor(told, send) {
    super(told);
    const { part } = describe(told);
    this.#send = (/** @type {File | Blob} */ file, /** @type {import("./webmsrp.d.ts").MsrpFileOptions} */ options) => send(file, options, part);
  }

  /**
   * @param {File | Blob} file
   * @param {import("./webmsrp.d.ts").MsrpFileOptions} [options]
   */
  send(file, options = {}) {
    this._check();
    this._transfer = this.#send(file, options);
    this._decide();
    return this._transfer;
  }
}

/** The peer offers a file: accept or reject its offer. */
export class MsrpFileOfferEvent extends Event {
  /** @param {MsrpFileOffer} offer */
  constructor(offer) {
    super("fileoffer");
    this.offer = offer;
  }
}

/** The peer asks for a file: send it, or reject the request. */
export class MsrpFileRequestEvent extends Event {
  /** @param {MsrpFileRequest} request */
  constructor(request) {
    super("filerequest");
    this.request = request;
  }
}
