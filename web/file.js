// Files: offered by SDP (RFC 5547) or sent as a message, and received to where
// the page wants them.

import { MsrpError } from "./errors.js";
import { safeName } from "./filename.js";
import { deferred } from "./promise.js";
import { serveWriter } from "./sinks.js";

/** @typedef {import("./rpc.js").Core} Core */
/** @typedef {import("./webmsrp.d.ts").MsrpFileDestination} Destination */
/** @typedef {import("./webmsrp.d.ts").MsrpFileHashes} Hashes */
/** @typedef {{name: string | null, type: string, size: number | null, hashes?: Hashes}} Description */

export class MsrpIncomingFile extends EventTarget {
  #core;
  #number;
  #hashes;
  #algorithm;
  /** @type {"waiting" | "receiving" | "received" | "failed"} */
  #state = "waiting";
  #received = 0;
  /** @type {Error | undefined} */
  #error;
  /** @type {Blob | null} */
  #blob = null;
  #incoming = -1;
  #given = false;
  #verified = deferred();

  /**
   * @param {Core} core
   * @param {Description} description
   * @param {Destination} [destination]
   */
  constructor(core, { name, type, size, hashes = {} }, destination) {
    super();
    this.#core = core;
    this.#number = core.number();
    this.name = name;
    this.type = type;
    this.size = size;
    this.#hashes = hashes;
    this.#algorithm = hashes["sha-256"] || !hashes["sha-1"] ? /** @type {const} */ ("sha-256") : /** @type {const} */ ("sha-1");
    this.#verified.promise.catch(() => {}); // nobody has to wait
    /** @type {any} */
    let place = destination;
    /** @type {Transferable[]} */
    let transfer = [];
    if (destination instanceof WritableStream) {
      if (destination.locked) throw new TypeError("the stream is locked: somebody writes to it already");
      const { port1, port2 } = new MessageChannel();
      serveWriter(destination, port1);
      transfer = [(place = port2)];
    } else if (destination !== undefined && !(/** @type {any} */ (destination)?.kind === "file")) {
      throw new TypeError("a file is received to a FileSystemFileHandle or a WritableStream, or to nothing for a Blob");
    }
    this.#call("opensave", { destination: place, algorithm: this.#algorithm }, transfer).catch((error) => this._fail(error));
    core.listen("message", this.#number, (event) => {
      if (event.event !== "saved") return; // who waits for the core hears of its end
      this.#received = event.octets;
      this.dispatchEvent(new Event("progress"));
    });
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
  #call(op, fields, transfer) {
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
    if (this.#state === "received" || this.#given) return;
    this._fail(/** @type {Error} */ (reason ?? new MsrpError("Receiving was stopped.", { kind: "aborted" })));
    this.#give();
  }

  /** Gives up what is here: it cannot go on. */
  #give() {
    if (this.#given) return;
    this.#given = true;
    if (this.#incoming >= 0) this.#core.call("drop", { incoming: this.#incoming }).catch(() => {});
    this.#call("closesave", { whole: false }).catch(() => {});
    this.#core.listen("message", this.#number, undefined);
  }

  /**
   * Whether a transfer that begins behind that many octets can follow, of a file
   * that is described so. Throws where not.
   * @param {Description} offered
   * @param {number} offset
   */
  _continue({ size, hashes = {} }, offset) {
    const same = (size ?? this.size) === (this.size ?? size) && /** @type {const} */ (["sha-1", "sha-256"]).every((a) => (hashes[a] ?? this.#hashes[a]) === (this.#hashes[a] ?? hashes[a]));
    if (this.#state !== "failed" || this.#given || !same) throw new MsrpError("The file that is offered is not the rest of this one: accept it as another.");
    if (offset > this.#received) throw new MsrpError(`The part that is offered begins behind what is here: ask for one from octet ${this.#received} on.`);
    this.#state = "waiting";
    this.#error = undefined;
    this.#verified = deferred();
    this.#verified.promise.catch(() => {});
  }

  /**
   * Receives a message, of which the page may have the beginning.
   * @param {{incoming?: number, data?: Uint8Array<ArrayBuffer>}} message
   * @param {number} [offset] how much of the file comes before it
   */
  async _take({ incoming, data }, offset = 0) {
    if (this.#state !== "waiting") {
      if (incoming !== undefined) this.#core.call("drop", { incoming }).catch(() => {});
      return;
    }
    this.#state = "receiving";
    this.#incoming = incoming ?? -1;
    try {
      const size = this.size;
      this.#received = await this.#call("save", { incoming, data, skip: this.#received - offset, most: size ?? Infinity });
      this.#incoming = -1;
      if (size !== null && this.#received < size) throw this.#mismatch(`it has ${this.#received} octets of ${size}`);
      const { sum, blob } = await this.#call("closesave", { whole: true });
      const wanted = this.#hashes[this.#algorithm];
      if (wanted && wanted.toUpperCase() !== sum) throw this.#mismatch(`its ${this.#algorithm.toUpperCase()} differs`);
      if (this.#state !== "receiving") return;
      this.#given = true;
      this.#core.listen("message", this.#number, undefined);
      this.#blob = blob instanceof Blob ? new Blob([blob], { type: this.type }) : null;
      this.size = this.#received;
      this.#state = "received";
      this.#verified.resolve();
      this.dispatchEvent(new Event("progress"));
    } catch (error) {
      this._fail(/** @type {Error} */ (error));
      const { kind } = /** @type {MsrpError} */ (error);
      if (kind === "storage" || kind === "mismatch") this.#give(); // no more of it will help
    }
  }

  /** @param {string} how */
  #mismatch(how) {
    return new MsrpError(`What came is not the file that was offered: ${how}. Ask for it again.`, { kind: "mismatch" });
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
  /** What is offered, as it is answered. */
  #terms;
  #decided = deferred();
  /** @type {MsrpIncomingFile | undefined} */
  #file;
  #over = false;

  /**
   * @param {Core} core
   * @param {NonNullable<ReturnType<typeof parseFileOffer>>} offered
   */
  constructor(core, { name, type, size, hashes, offset, terms }) {
    this.#core = core;
    this.#terms = terms;
    this.name = name;
    this.type = type;
    this.size = size;
    this.hashes = hashes;
    this.offset = offset;
    this.#decided.promise.catch(() => {});
  }

  /** @param {Destination | MsrpIncomingFile} [destination] */
  accept(destination) {
    this.#check();
    if (destination instanceof MsrpIncomingFile) {
      destination._continue(this, this.offset);
      this.#file = destination;
    } else {
      if (this.offset > 0) throw new MsrpError("Only the rest of the file is offered: accept it to the one that has the beginning.");
      this.#file = new MsrpIncomingFile(this.#core, this, destination);
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

  /** Resolves when the page has decided: with the terms of what it takes, or nothing. */
  async _decision() {
    await this.#decided.promise;
    return this.#file && { file: this.#file, terms: this.#terms };
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

/**
 * The file that a description offers, unless it offers a conversation.
 * @param {string} sdp
 */
export function parseFileOffer(sdp) {
  const streams = sdp.split(/^(?=m=)/m).filter((media) => /^m=message [1-9]/.test(media));
  /** @param {string} media @param {string} name */
  const attribute = (media, name) => new RegExp(`^a=${name}:(.*?)\r?$`, "m").exec(media)?.[1] ?? "";
  const [media] = streams.filter((stream) => attribute(stream, "file-selector"));
  if (!media || streams.some((stream) => !attribute(stream, "file-selector")) || !/^a=sendonly\r?$/m.test(media)) return undefined;
  const selector = attribute(media, "file-selector");
  /** @param {string} name */
  const find = (name) => new RegExp(`(?:^| )${name}:("[^"]*"|[^ ]+)`).exec(selector)?.[1];
  /** @type {Hashes} */
  const hashes = {};
  for (const [, algorithm, sum] of selector.matchAll(/(?:^| )hash:(sha-1|sha-256):([0-9a-f:]+)/gi)) {
    hashes[/** @type {"sha-1"} */ (algorithm.toLowerCase())] = sum.toUpperCase();
  }
  const size = find("size");
  const [start, stop] = attribute(media, "file-range").split("-").map(Number);
  return {
    name: safeName(unescape(find("name")?.replace(/^"|"$/g, "") ?? "")),
    type: find("type") ?? "application/octet-stream",
    size: size === undefined ? null : Number(size),
    hashes,
    offset: Math.max(0, (start || 1) - 1),
    terms: { selector, transferId: attribute(media, "file-transfer-id"), start: start || 0, stop: stop || -1 },
  };
}

/** @param {string} name With the escapes of RFC 5547, section 6. */
function unescape(name) {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/**
 * @param {{name: string, type: string, size: number, hashes: Hashes}} file
 */
export function formatSelector({ name, type, size, hashes }) {
  // eslint-disable-next-line no-control-regex
  const escaped = name.replace(/[\u0000-\u001f\u007f"%/\\]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
  return [`name:"${escaped}"`, `type:${type.split(";")[0].trim()}`, `size:${size}`, ...Object.entries(hashes).map(([algorithm, sum]) => `hash:${algorithm}:${sum}`)].join(" ");
}
