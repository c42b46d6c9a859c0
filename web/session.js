import { abortable } from "./abort.js";
import { Composing, composingType } from "./composing.js";
import { cpimType, unwrap } from "./cpim.js";
import { MsrpError } from "./errors.js";
import { describe, MsrpFileOffer, MsrpFileOfferEvent, MsrpFileRequest, MsrpFileRequestEvent, MsrpIncomingFile } from "./file.js";
import { Notifications } from "./imdn.js";
import { MsrpIncomingMessage, MsrpMessageEvent, MsrpOutgoingMessage, newMessageId } from "./message.js";
import { MsrpTraceEvent } from "./trace.js";
import { MsrpFileTransfer } from "./transfer.js";

/** @typedef {import("./webmsrp.d.ts").MsrpDescription} Description */
/** @typedef {import("./webmsrp.d.ts").MsrpSendOptions} SendOptions */
/** @typedef {import("./webmsrp.d.ts").MsrpBody} Body */
/** @typedef {import("./file.js").Part} Part */

export class MsrpSession extends EventTarget {
  #core;
  #number;
  #credentials;
  /** @type {"new" | "connecting" | "connected" | "failed" | "closed"} */
  #state = "new";
  /** @type {MsrpError | undefined} */
  #error;
  /** @type {Set<MsrpOutgoingMessage>} */
  #outgoing = new Set();
  /** @type {string | undefined} */
  #offer;
  /** Resolves once the core has the session, and its place at the relay. @type {Promise<unknown>} */
  #begun;
  #began = () => {};
  /** @type {(error: MsrpError | undefined) => void} */
  #settleClosed = () => {};
  #composing = new Composing(
    (status) => this.#sendControl(status, composingType).sent,
    (event) => this.dispatchEvent(event),
  );
  #notifications = new Notifications(
    (format) => void this.#sendControl(format(newMessageId()), cpimType),
    (event) => this.dispatchEvent(event),
  );
  /** Whether the peer's last description says so. */
  #hasNicknames = false;
  #traced = false;
  /** The events that somebody listens to. @type {Set<string>} */
  #listened = new Set();
  /** What the peer's description says of a file. @type {MsrpFileOffer | MsrpFileRequest | undefined} */
  #fileQuestion;
  /** The file that this session is to receive. @type {{file: MsrpIncomingFile, part: Part | Promise<Part>} | undefined} */
  #taken;
  /** Settles the part where it was asked for. @type {{resolve: (part: Part) => void, reject: (error: Error) => void} | undefined} */
  #answer;
  /** What is received. @type {Set<MsrpIncomingFile>} */
  #files = new Set();
  /** The file that this session is to send. @type {MsrpFileTransfer | undefined} */
  #transfer;
  /** Resolves once the core knows of either. @type {Promise<unknown> | undefined} */
  #described;

  /**
   * @param {import("./rpc.js").Core} core
   * @param {number} client
   * @param {Record<string, unknown>} options
   * @param {() => Promise<{username?: string, password?: string}>} credentials
   */
  constructor(core, client, options, credentials) {
    super();
    if (core?.number === undefined) throw new TypeError("use MsrpClient.createSession");
    this.#core = core;
    this.#number = core.number();
    this.#credentials = credentials;
    this.#begun = new Promise((resolve) => (this.#began = () => resolve(undefined)));
    /** @type {Promise<MsrpError | undefined>} */
    this.closed = new Promise((resolve) => (this.#settleClosed = resolve));
    core.listen("session", this.#number, (event) => this.#handle(event));
    core.call("session", { client, session: this.#number, ...options }).catch((error) => this._end(error));
  }

  get connectionState() {
    return this.#state;
  }

  get bufferedAmount() {
    let octets = 0;
    for (const message of this.#outgoing) octets += Math.max(0, (message.size ?? 0) - message.acknowledged);
    return octets;
  }

  /**
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<Description>}
   */
  async createOffer({ signal } = {}) {
    signal?.throwIfAborted();
    await this.#describing(signal);
    return { type: "offer", sdp: await this.#negotiate("offer", {}, signal) };
  }

  /**
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<Description>}
   */
  async createAnswer({ signal } = {}) {
    this.#check();
    if (this.#offer === undefined) throw new MsrpError("There is no offer to answer: give it to setRemoteDescription first.");
    const question = this.#fileQuestion;
    if (question) {
      signal?.throwIfAborted();
      await abortable(question._decided, signal);
      const file = question instanceof MsrpFileOffer ? question._file : undefined;
      await abortable(Promise.resolve(file?._ready), signal);
      if (question instanceof MsrpFileOffer && file && !file.error) {
        this.#taken = { file, part: question._part };
        this.#keep(file);
        await this.#call("takefile", {});
      } else if (!this.#transfer) {
        const sdp = await this.#call("refuse", { sdp: this.#offer });
        this.close();
        return { type: "answer", sdp };
      }
      await this.#describing(signal);
    }
    return { type: "answer", sdp: await this.#negotiate("answer", { sdp: this.#offer }, signal) };
  }

  /**
   * Waits until the core knows of the file that is to be sent or received.
   * @param {AbortSignal | undefined} signal
   */
  async #describing(signal) {
    if (!this.#described) return;
    await abortable(Promise.race([this.#described, this.#transfer?._settled ?? this.#described]), signal);
    const error = this.#transfer ? this.#transfer.error : this.#taken?.file.error;
    if (error) throw error;
  }

  /**
   * @param {"offer" | "answer"} op
   * @param {object} fields
   * @param {AbortSignal | undefined} signal
   */
  async #negotiate(op, fields, signal) {
    this.#check();
    signal?.throwIfAborted();
    const sdp = await abortable(
      (async () => this.#call(op, { ...(await this.#credentials()), ...fields }))(),
      signal,
    );
    this.#began();
    return sdp;
  }

  /**
   * @param {Description} description
   * @param {{signal?: AbortSignal}} [options]
   */
  async setRemoteDescription({ type, sdp }, { signal } = {}) {
    this.#check();
    signal?.throwIfAborted();
    if (typeof sdp !== "string") throw new TypeError("a description needs sdp, a string");
    if (type === "offer") await abortable(this.#takeOffer(sdp), signal);
    else if (type === "answer") await abortable(this.#accept(sdp), signal);
    else throw new TypeError(`a description is an "offer" or an "answer", not ${JSON.stringify(type)}`);
    this.#hasNicknames = /^a=chatroom:(?:.* )?nickname\s/m.test(`${sdp}\n`);
  }

  /** @param {string} sdp */
  async #accept(sdp) {
    try {
      const told = await this.#call("accept", { sdp });
      if (!told || !this.#taken || !this.#answer) return;
      const description = describe(told);
      this.#taken.file._learn(description);
      this.#answer.resolve(description.part);
    } catch (error) {
      if (this.#described && error instanceof MsrpError && error.code === 603) {
        // Of a file that is not wanted nothing else can come.
        this._end(error);
        this.#call("close", {}).catch(() => {});
      }
      throw error;
    }
  }

  /** @param {string} sdp */
  async #takeOffer(sdp) {
    this.#offer = sdp;
    if (this.#fileQuestion || !(this.#listened.has("fileoffer") || this.#listened.has("filerequest"))) return;
    const told = await this.#call("offeredfile", { sdp });
    this.#check();
    if (!told || !this.#listened.has(told.asked ? "filerequest" : "fileoffer")) return;
    if (told.asked) {
      const request = new MsrpFileRequest(told, (file, options, { offset, end }) => this.#sendFile(file, { ...options, offer: true, offset }, end));
      this.#fileQuestion = request;
      this.dispatchEvent(new MsrpFileRequestEvent(request));
    } else {
      const offer = new MsrpFileOffer(this.#core, told);
      this.#fileQuestion = offer;
      this.dispatchEvent(new MsrpFileOfferEvent(offer));
    }
  }

  /**
   * @param {Body} body
   * @param {SendOptions} [options]
   */
  send(body, options = {}) {
    this.#composing.sent();
    return this.#start(new MsrpOutgoingMessage(this.#core, body, options), options);
  }

  /**
   * @param {File | Blob} file
   * @param {import("./webmsrp.d.ts").MsrpFileOptions} [options]
   */
  sendFile(file, options = {}) {
    if (options.offer && (this.#state !== "new" || this.#described || this.#fileQuestion)) throw new TypeError("a file is offered in a session of its own, before createOffer");
    return this.#sendFile(file, options);
  }

  /**
   * @param {File | Blob} file
   * @param {import("./webmsrp.d.ts").MsrpFileOptions} options
   * @param {number | null} [end] of the part that is sent
   */
  #sendFile(file, options, end) {
    if (!(file instanceof Blob)) throw new TypeError("what is sent is a File or a Blob");
    this.#composing.sent();
    const transfer = this.#start(new MsrpFileTransfer(this.#core, file, options, end), options);
    if (options.offer) {
      this.#transfer = transfer;
      this.#described = transfer._describe().then((file) => this.#call("offerfile", file));
      this.#described.catch((error) => transfer._fail(error));
    }
    return transfer;
  }

  /**
   * @param {import("./webmsrp.d.ts").MsrpFileSelector | MsrpIncomingFile} wanted
   * @param {import("./webmsrp.d.ts").MsrpFileDestination} [destination]
   * @param {{offset?: number, signal?: AbortSignal}} [options]
   */
  receiveFile(wanted, destination, { offset = 0, signal } = {}) {
    if (this.#state !== "new" || this.#described || this.#fileQuestion) throw new TypeError("a file is asked for in a session of its own, before createOffer");
    signal?.throwIfAborted();
    /** @type {MsrpIncomingFile} */
    let file;
    if (wanted instanceof MsrpIncomingFile) {
      file = wanted;
      file._continue(this.#core, file, file.received);
      file._obey(signal);
    } else {
      const { name = null, type = "", size = null, hashes = {} } = wanted;
      if (!name && !type && size === null && Object.keys(hashes).length === 0) throw new TypeError("a file is asked for by a name, type, size or hash");
      if (!Number.isSafeInteger(offset) || offset < 0 || (offset > 0 && !(destination && "kind" in destination && hashes["sha-1"]))) throw new TypeError("offset is how many octets stand in the FileSystemFileHandle of the file that has the hashes");
      file = new MsrpIncomingFile(this.#core, { name, type, size, hashes }, destination, { signal, offset, asked: true });
    }
    const part = new Promise((resolve, reject) => (this.#answer = { resolve, reject }));
    part.catch(() => {}); // it is told with the message
    this.#taken = { file, part };
    this.#keep(file);
    this.#described = Promise.all([this.#call("offerfile", file._ask()), file._ready]);
    this.#described.catch((error) => file._fail(error));
    return file;
  }

  /**
   * Sends what is no ordinary message: only a refusal of it is of interest.
   * @param {string} body
   * @param {string} contentType
   */
  #sendControl(body, contentType) {
    const options = /** @type {const} */ ({ contentType, successReport: false, failureReport: "partial", control: true });
    return this.#start(new MsrpOutgoingMessage(this.#core, body, options), {});
  }

  /**
   * @param {boolean} active
   * @param {{contentType?: string}} [options]
   */
  setComposing(active, { contentType = "" } = {}) {
    if (this.#state === "connecting" || this.#state === "connected") this.#composing.set(active, contentType);
  }

  /** @param {string} messageId */
  markDisplayed(messageId) {
    return this.#notifications.displayed(messageId);
  }

  /**
   * @param {string} name
   * @param {{signal?: AbortSignal}} [options]
   */
  async setNickname(name, { signal } = {}) {
    this.#check();
    signal?.throwIfAborted();
    // RFC 7701, section 7: nobody else is to be asked.
    if (!this.#hasNicknames) throw new MsrpError("The other side is no chat room with nicknames.");
    await abortable(this.#call("nickname", { name }), signal);
  }

  /**
   * @param {string} type
   * @param {EventListenerOrEventListenerObject | null} listener
   * @param {boolean | AddEventListenerOptions} [options]
   * @override
   */
  addEventListener(type, listener, options) {
    super.addEventListener(type, listener, options);
    this.#listened.add(type);
    if (type !== "trace" || this.#traced) return;
    // It costs time with each request: only from when somebody listens.
    this.#traced = true;
    this.#call("trace", {}).catch(() => {}); // nothing passes of a session that is over
  }

  /**
   * @template {MsrpOutgoingMessage} M
   * @param {M} message
   * @param {SendOptions} options
   * @returns {M}
   */
  #start(message, { signal }) {
    if (this.#error || this.#state === "closed") {
      message._fail(this.#error ?? new MsrpError("The conversation is closed.", { kind: "closed" }));
      return message;
    }
    this.#outgoing.add(message);
    message._settled.then(() => this.#outgoing.delete(message));
    if (signal) {
      const abort = () => message.abort(signal.reason);
      if (signal.aborted) abort();
      signal.addEventListener("abort", abort, { once: true });
      message._settled.then(() => signal.removeEventListener("abort", abort));
    }
    // In order: every message waits for the same promise.
    this.#begun.then(() => message._start(this.#number));
    return message;
  }

  /** @param {{signal?: AbortSignal}} [options] */
  async probe({ signal } = {}) {
    this.#check();
    await abortable(this.#call("probe", {}), signal);
  }

  async close() {
    if (this.#state === "failed" || this.#state === "closed") return;
    this._end(undefined);
    await this.#call("close", {}).catch(() => {}); // a core that is gone has no sessions
  }

  /**
   * @param {string} op
   * @param {Record<string, unknown>} fields
   */
  #call(op, fields) {
    return this.#core.call(op, { session: this.#number, ...fields });
  }

  #check() {
    if (this.#error) throw this.#error;
    if (this.#state === "closed") throw new MsrpError("The conversation is closed.", { kind: "closed" });
  }

  /** @param {any} event */
  #handle(event) {
    switch (event.event) {
      case "state":
        if (event.state === "closed") this._end(event.error && event.error.kind !== "closed" ? MsrpError.from(event.error) : undefined);
        else this.#setState(event.state);
        break;
      case "message":
        this.#take(unwrap(event));
        break;
      case "trace":
        this.dispatchEvent(new MsrpTraceEvent(event));
        break;
      case "coreended":
        this._end(event.error);
    }
  }

  /** @param {any} message What arrived, without its wrapper. */
  #take(message) {
    if (this.#taken) {
      this.#taken.file._take(message, this.#taken.part);
      return;
    }
    if (this.#notifications.take(message) || this.#composing.take(message)) {
      if (message.incoming !== undefined) this.#core.call("drop", { incoming: message.incoming }).catch(() => {}); // too large to be one
      return;
    }
    this.dispatchEvent(new MsrpMessageEvent(new MsrpIncomingMessage(this.#core, message, (file) => this.#keep(file))));
  }

  /** @param {MsrpIncomingFile} file What is received here. */
  #keep(file) {
    this.#files.add(file);
    file.verified.catch(() => {}).finally(() => this.#files.delete(file));
  }

  /**
   * Ends the session, for a reason or because it was closed.
   * @param {MsrpError | undefined} error
   */
  _end(error) {
    if (this.#state === "failed" || this.#state === "closed") return;
    this.#error = error;
    this.#core.listen("session", this.#number, undefined);
    this.#composing.close();
    const reason = error ?? new MsrpError("The conversation is closed.", { kind: "closed" });
    for (const message of this.#outgoing) message._sessionEnded(reason);
    this.#fileQuestion?._end(reason);
    this.#answer?.reject(reason);
    if (this.#taken?.file.state === "waiting") this.#taken.file._fail(reason);
    for (const file of this.#files) file.resume(); // to its end, which nothing would tell it of
    this.#setState(error && error.kind !== "closed" ? "failed" : "closed");
    this.#settleClosed(error);
  }

  /** @param {"connecting" | "connected" | "failed" | "closed"} state */
  #setState(state) {
    this.#state = state;
    this.dispatchEvent(new Event("connectionstatechange"));
  }
}
