import { cpimType, formatWrapper, prepend } from "./cpim.js";
import { MsrpError } from "./errors.js";
import { MsrpIncomingFile } from "./file.js";
import { fileNameOf } from "./filename.js";
import { askHeaders } from "./imdn.js";
import { deferred } from "./promise.js";
import { servePort } from "./sources.js";

/** @typedef {import("./rpc.js").Core} Core */
/** @typedef {import("./webmsrp.d.ts").MsrpSendOptions & {control?: boolean}} SendOptions control: no ordinary message */

/** How much of an incoming message is fetched at once. */
const readSize = 256 << 10;

/** The most octets that are copied to the core at once. */
const copied = 256 << 10;

const binary = "application/octet-stream";

const idCharacters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** A random Message-ID of 20 letters and digits. */
export function newMessageId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(20)), (octet) => idCharacters[octet % 62]).join("");
}

export class MsrpOutgoingMessage extends EventTarget {
  #core;
  /** In the core, of the last attempt to send it. */
  #number = 0;
  /** What is sent. @type {Record<string, any>} */
  #request;
  /** @type {ReadableStream<Uint8Array> | undefined} */
  #stream;
  /** Ends the stream that is sent. @type {(reason: unknown) => void} */
  #cancel = () => {};
  /** @type {"sending" | "sent" | "delivered" | "failed"} */
  #state = "sending";
  #acknowledged = 0;
  /** @type {Error | undefined} */
  #error;
  /** The session of the core that it was given to, counted. */
  #generation = -1;
  /** Whether the core has begun to send it. */
  #begun = false;
  /** Whether the session sends it again where it may have arrived. */
  #mayRepeat = () => false;
  /** Tells the session that the peer could not be reached. @type {(error: MsrpError) => void} */
  #doubt = () => {};
  #paused = false;
  #successReport = true;
  /** @type {unknown} */
  #abortReason;
  #sent = deferred();
  #delivered = deferred();
  #over = deferred();

  /**
   * @param {Core} core
   * @param {import("./webmsrp.d.ts").MsrpBody} body
   * @param {SendOptions} options
   */
  constructor(core, body, options) {
    super();
    this.#core = core;
    this.messageId = options.again?.messageId ?? newMessageId();
    if (options.wrapper || options.notify) {
      const type = options.contentType ?? (typeof body === "string" ? "text/plain;charset=UTF-8" : (body instanceof Blob && body.type) || binary);
      const extra = options.notify ? askHeaders(this.messageId, options.notify) : [];
      body = prepend(formatWrapper(options.wrapper ?? {}, type, { extra, disposition: options.disposition }), body);
      options = { ...options, contentType: cpimType, disposition: "" };
    }
    /** @type {number | null} */
    this.size = null;
    let type = binary;
    /** @type {any} */
    let content = body;
    if (typeof body === "string") {
      type = "text/plain";
      this.size = new TextEncoder().encode(body).length;
    } else if (body instanceof Blob) {
      type = body.type || type;
      this.size = body.size;
    } else if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) {
      // A copy, because the caller may change or transfer it while it waits; of
      // much in a Blob, which then goes to the core without another.
      const octets = /** @type {Uint8Array<ArrayBuffer>} */ (body instanceof ArrayBuffer ? new Uint8Array(body) : new Uint8Array(body.buffer, body.byteOffset, body.byteLength));
      content = octets.length > copied ? new Blob([octets]) : octets.slice();
      this.size = octets.length;
    } else if (body instanceof ReadableStream) {
      if (body.locked) throw new TypeError("the stream is locked: somebody reads it already");
      this.#stream = body;
      this.#cancel = (reason) => void body.cancel(reason).catch(() => {});
    } else {
      throw new TypeError("a body is a string, Blob, ArrayBuffer, view of one, or ReadableStream");
    }
    this.contentType = options.contentType ?? type;
    this.#successReport = options.successReport !== false;
    this.#request = {
      messageId: this.messageId,
      contentType: this.contentType,
      disposition: options.disposition ?? "",
      successReport: this.#successReport,
      failureReport: options.failureReport ?? "",
      control: options.control === true,
      body: content,
      size: this.size ?? 0,
    };
    // Nobody has to wait for them.
    this.sent = this.#sent.promise;
    this.delivered = this.#delivered.promise;
    this.sent.catch(() => {});
    this.delivered.catch(() => {});
  }

  /** The number by which the core knows it. */
  get _number() {
    return this.#number;
  }

  get acknowledged() {
    return this.#acknowledged;
  }

  get state() {
    return this.#state;
  }

  get error() {
    return this.#error;
  }

  /** Resolves when nothing more happens to the message. */
  get _settled() {
    return this.#over.promise;
  }

  /** @param {unknown} [reason] */
  abort(reason) {
    if (this.#state !== "sending") return;
    this.#abortReason = reason ?? new MsrpError("Sending was stopped.", { kind: "aborted", messageId: this.messageId });
    if (this.#generation >= 0) this.#core.call("abort", { message: this.#number }).catch(() => {});
    this._fail(/** @type {Error} */ (this.#abortReason));
  }

  /** @param {boolean} paused Stops or goes on to read the body, a Blob or a stream. */
  _pause(paused) {
    this.#paused = paused;
    if (this.#generation >= 0) this.#core.call("pause", { message: this.#number, paused }).catch(() => {});
  }

  /**
   * Hands the message to the core, and once more after the session there has
   * given way to another.
   * @param {number} session
   * @param {number} [generation]
   * @param {() => boolean} [mayRepeat]
   * @param {(error: MsrpError) => void} [doubt]
   */
  _start(session, generation = 0, mayRepeat = this.#mayRepeat, doubt = this.#doubt) {
    if (this.#state === "failed" || this.#state === "delivered" || this.#generation === generation) return;
    if (this.#isSentForGood) {
      this.#settle();
      return;
    }
    if (this.#begun && !this.#repeats) {
      this.#lose();
      return;
    }
    this.#core.listen("message", this.#number, undefined);
    this.#number = this.#core.number();
    this.#generation = generation;
    this.#mayRepeat = mayRepeat;
    this.#doubt = doubt;
    this.#begun = true;
    this.#core.listen("message", this.#number, (event) => this.#progress(event));
    /** @type {Record<string, any>} */
    const request = { session, generation, message: this.#number, paused: this.#paused, ...this.#request };
    const transfer = [];
    if (this.#stream) {
      const { port1, port2 } = new MessageChannel();
      try {
        this.#cancel = servePort(this.#stream, port1);
      } catch (error) {
        this._fail(/** @type {Error} */ (error));
        return;
      }
      request.body = port2;
      transfer.push(port2);
    }
    this.#core.call("send", request, transfer).catch((error) => this._fail(error));
  }

  /** Whether it may be sent again though it may have arrived. */
  get #repeats() {
    return !this.#stream && this.#mayRepeat();
  }

  #lose() {
    this._fail(MsrpError.from({ message: "the connection was lost", kind: "lost", messageId: this.messageId }));
  }

  /** @param {any} event */
  #progress(event) {
    if (event.event === "coreended") {
      this._fail(event.error);
      return;
    }
    if (event.unsent) {
      this.#begun = this.#stream !== undefined; // which is in other hands
      return;
    }
    if (event.error) {
      const error = MsrpError.from(event.error);
      if (event.outlived && this.#repeats) {
        // Of what was on its way to a connection that is lost the relay says so.
        if (error.code === 408) this.#doubt(error);
      } else if (event.outlived && !error.code) this.#lose();
      else this._fail(error);
      return;
    }
    this.#acknowledged = event.acknowledged;
    if (event.sent && this.#state === "sending") {
      this.#state = "sent";
      this.#sent.resolve();
    }
    if (event.delivered) {
      this.#state = "delivered";
      this.#delivered.resolve();
      this.#settle();
    }
    this.dispatchEvent(new Event("progress"));
  }

  /** @param {Error} error Ends the message before its success. */
  _fail(error) {
    if (this.#state === "failed" || this.#state === "delivered") return;
    this.#error = error;
    this.#state = "failed";
    this.#sent.reject(error);
    this.#delivered.reject(error);
    this.#cancel(error);
    this.#settle();
    this.dispatchEvent(new Event("progress"));
  }

  /** @param {Error} error Fails the message if something was still to come. */
  _sessionEnded(error) {
    if (this.#isSentForGood) this.#settle();
    else this._fail(error);
  }

  /** Whether nobody wants to know more of it. */
  get #isSentForGood() {
    return this.#state === "sent" && !this.#successReport;
  }

  #settle() {
    this.#core.listen("message", this.#number, undefined);
    this.#over.resolve();
  }
}

export class MsrpMessageEvent extends Event {
  /** @param {MsrpIncomingMessage} message */
  constructor(message) {
    super("message");
    this.message = message;
  }
}

export class MsrpIncomingMessage {
  #core;
  /** The number to fetch it by, undefined where data is all of it. @type {number | undefined} */
  #number;
  /** What is here already. @type {Uint8Array<ArrayBuffer>[]} */
  #pieces;
  #used = false;
  /** @type {ReadableStream<Uint8Array<ArrayBuffer>> | undefined} */
  #body;
  /** Called when all was read. @type {(() => void) | undefined} */
  #read;
  /** Called with the file that it is saved to. @type {((file: MsrpIncomingFile) => void) | undefined} */
  #saving;

  /**
   * @param {Core} core
   * @param {{messageId: string, contentType: string, disposition: string, size?: number, from: string, to: string, incoming?: number, data?: Uint8Array<ArrayBuffer>, wrapper?: import("./webmsrp.d.ts").MsrpWrapper, read?: () => void}} event
   * @param {(file: MsrpIncomingFile) => void} [saving]
   */
  constructor(core, event, saving) {
    this.#core = core;
    this.#number = event.incoming;
    this.#pieces = event.data?.length ? [event.data] : [];
    this.messageId = event.messageId;
    this.contentType = event.contentType;
    this.disposition = event.disposition;
    this.fileName = fileNameOf(event.disposition);
    this.size = event.size ?? null;
    this.from = event.from;
    this.to = event.to;
    this.wrapper = event.wrapper ?? null;
    this.#read = event.read;
    this.#saving = saving;
  }

  get bodyUsed() {
    return this.#used;
  }

  get body() {
    if (!this.#body) {
      this.#use();
      this.#body = new ReadableStream(
        {
          pull: async (controller) => {
            const chunk = await this.#next();
            if (chunk) controller.enqueue(chunk);
            else controller.close();
          },
          cancel: () => this.#drop(),
        },
        // Nothing is fetched before somebody reads: that holds the peer up.
        { highWaterMark: 0 },
      );
    }
    return this.#body;
  }

  async text() {
    return new TextDecoder().decode(await this.arrayBuffer());
  }

  async arrayBuffer() {
    return (await this.blob()).arrayBuffer();
  }

  async blob() {
    this.#use();
    /** @type {Uint8Array<ArrayBuffer>[]} */
    const chunks = [];
    for (let chunk = await this.#next(); chunk; chunk = await this.#next()) chunks.push(chunk);
    return new Blob(chunks, { type: this.contentType });
  }

  /**
   * @param {import("./webmsrp.d.ts").MsrpFileDestination} [destination]
   * @param {{signal?: AbortSignal}} [options]
   */
  save(destination, options = {}) {
    options.signal?.throwIfAborted();
    this.#check();
    const file = new MsrpIncomingFile(this.#core, { name: this.fileName, type: this.contentType, size: this.size }, destination, options);
    this.#used = true;
    this.#saving?.(file);
    file._take({ incoming: this.#number, data: this.#pieces.shift() });
    file.verified.then(() => this.#read?.(), () => {});
    return file;
  }

  #check() {
    if (this.#used) throw new TypeError("the message was read already");
  }

  #use() {
    this.#check();
    this.#used = true;
  }

  /** @returns {Promise<Uint8Array<ArrayBuffer> | null>} */
  async #next() {
    if (this.#pieces.length === 0 && this.#number !== undefined) {
      this.#pieces = (await this.#core.call("read", { incoming: this.#number, max: readSize })) ?? [];
    }
    const next = this.#pieces.shift() ?? null;
    if (!next) this.#read?.();
    return next;
  }

  async #drop() {
    this.#pieces = [];
    if (this.#number !== undefined) await this.#core.call("drop", { incoming: this.#number }).catch(() => {});
  }
}
