// Files that are received: offered by SDP (RFC 5547) or sent as a message.

import { MsrpError } from "./errors.js";
import { safeName } from "./filename.js";
import { deferred } from "./promise.js";
import { serveWriter } from "./sinks.js";

/** @typedef {import("./rpc.js").Core} Core */
/** @typedef {import("./webmsrp.d.ts").MsrpFileDestination} Destination */
/** @typedef {import("./webmsrp.d.ts").MsrpFileHashes} Hashes */
/** @typedef {{name: string | null, type: string, size: number | null, hashes?: Hashes}} Description */
/** @typedef {{offset: number, end: number | null}} Part where in the file it begins, and ends if that is known */

export class MsrpIncomingFile extends EventTarget {
  #core;
  #number;
  #hashes;
  /** @type {import("./hash.js").Algorithm} */
  #algorithm;
  /** @type {"waiting" | "receiving" | "received" | "failed"} */
  #state = "waiting";
  #received = 0;
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
   * @param {{signal?: AbortSignal, begun?: boolean}} [options] begun: the destination has the beginning of the file
   */
  constructor(core, { name, type, size, hashes = {} }, destination, { signal, begun = false } = {}) {
    super();
    this.#core = core;
    this.#number = core.number();
    this.name = name;
    this.type = type;
    this.size = size;
    this.#hashes = hashes;
    this.#algorithm = hashes["sha-256"] || !hashes["sha-1"] ? "sha-256" : "sha-1";
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
    this.#call("opensave", { destination: place, algorithm: this.#algorithm, begun }, transfer).catch((error) => this.#giveUp(error));
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
    const same = (size ?? this.size) === (this.size ?? size) && /** @type {const} */ (["sha-1", "sha-256"]).every((a) => (hashes[a] ?? this.#hashes[a]) === (this.#hashes[a] ?? hashes[a]));
    if (core !== this.#core || this.#state !== "failed" || this.#over || !same) throw new MsrpError("The file that is offered cannot be the rest of this one: accept it as another.");
    if (offset > this.#received) throw new MsrpError(`The part that is offered begins behind what is here: ask for one from octet ${this.#received} on.`);
    this.#state = "waiting";
    this.#error = undefined;
    this.#verified = deferred();
    this.#verified.promise.catch(() => {});
  }

  /**
   * Receives a message, of which the page may have the beginning.
   * @param {{incoming?: number, data?: Uint8Array<ArrayBuffer>}} message
   * @param {Part} [part] of the file, all without it
   */
  async _take({ incoming, data }, { offset, end } = { offset: 0, end: this.size }) {
    if (this.#state !== "waiting" || this.#over) {
      if (incoming !== undefined) this.#core.call("drop", { incoming }).catch(() => {});
      return;
    }
    this.#state = "receiving";
    this.#incoming = incoming;
    try {
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

/** A file that the peer offers. */
export class MsrpFileOffer {
  #core;
  #part;
  #decided = deferred();
  /** @type {MsrpIncomingFile | undefined} */
  #file;
  #over = false;

  /**
   * @param {Core} core
   * @param {{name: string, type: string, size: number, "sha-1"?: string, "sha-256"?: string, offset: number, end: number}} offered what the core read of it, with -1 for what is not known
   */
  constructor(core, { name, type, size, offset, end, ...hashes }) {
    this.#core = core;
    this.#part = { offset, end: end < 0 ? null : end };
    this.name = safeName(name);
    this.type = type || "application/octet-stream";
    this.size = size < 0 ? null : size;
    /** @type {Hashes} */
    this.hashes = Object.fromEntries(Object.entries(hashes).map(([algorithm, sum]) => [algorithm, sum.toUpperCase()]));
    this.offset = offset;
    this.#decided.promise.catch(() => {});
  }

  /**
   * @param {Destination | MsrpIncomingFile} [destination]
   * @param {{signal?: AbortSignal}} [options]
   */
  accept(destination, { signal } = {}) {
    this.#check();
    signal?.throwIfAborted();
    if (destination instanceof MsrpIncomingFile) {
      destination._continue(this.#core, this, this.offset);
      destination._obey(signal);
      this.#file = destination;
    } else {
      const begun = this.offset > 0;
      if (begun && !(destination && "kind" in destination)) throw new MsrpError("Only the rest of the file is offered: accept it to what has the beginning.");
      this.#file = new MsrpIncomingFile(this.#core, this, destination, { signal, begun });
    }
    this.#over = true;
    this.#decided.resolve();
    return this.#file;
  }

  reject() {
    this.#check();
    this.#over = true;
    this.#decided.resolve();
  }

  #check() {
    if (this.#over) throw new MsrpError("The offer of the file was answered already, or is over.");
  }

  /** Resolves when the page has decided: with what it takes, or nothing. */
  async _decision() {
    await this.#decided.promise;
    return this.#file && { file: this.#file, part: this.#part };
  }

  /** @param {Error} error The session is over. */
  _end(error) {
    this.#over = true;
    this.#decided.reject(error);
    // What has arrived can still be read.
    if (this.#file?.state === "waiting") this.#file._fail(error);
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
