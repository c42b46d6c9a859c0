import { abortable } from "./abort.js";
import { Composing, composingType } from "./composing.js";
import { cpimType, unwrap } from "./cpim.js";
import { MsrpError } from "./errors.js";
import { describe, MsrpFileOffer, MsrpFileOfferEvent, MsrpFileRequest, MsrpFileRequestEvent, MsrpIncomingFile } from "./file.js";
import { Notifications } from "./imdn.js";
import { MsrpIncomingMessage, MsrpMessageEvent, MsrpOutgoingMessage, newMessageId } from "./message.js";
import { longestTime } from "./recovery.js";
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
  #client;
  /** @type {"new" | "connecting" | "connected" | "disconnected" | "failed" | "closed"} */
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
  /** Whether the next offer is to name another place. */
  #renews = false;
  /** How often the core went on in another session. */
  #generation = 0;
  /** Whether the core has no session to send in. */
  #stalled = false;
  /** Whether the peer takes nothing twice, undefined before it has said anything. @type {boolean | undefined} */
  #resumes;
  /** Until the relay's token wears out. @type {ReturnType<typeof setTimeout> | undefined} */
  #renewal;
  /** While it is disconnected. @type {ReturnType<typeof setTimeout> | undefined} */
  #late;
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
   * @param {{connected: () => Promise<void>, connectionState: string, patience: number}} [link]
   *   what waits until the client has a connection, and for how long the session
   *   may be without a path
   */
  constructor(core, client, options, credentials, link = { connected: async () => {}, connectionState: "connected", patience: 0 }) {
    super();
    if (core?.number === undefined) throw new TypeError("use MsrpClient.createSession");
    this.#core = core;
    this.#number = core.number();
    this.#credentials = credentials;
    this.#client = link;
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
    const sdp = await this.#negotiate("offer", { renew: this.#renews }, signal);
    this.#renews = false;
    return { type: "offer", sdp };
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
    const ready = async () => {
      await this.#client.connected();
      return this.#credentials();
    };
    const exchange = async () => {
      const credentials = await Promise.race([ready(), this.closed.then(() => this.#check())]);
      signal?.throwIfAborted(); // lest it takes the place of a later one
      this.#check();
      return this.#call(op, { ...credentials, ...fields });
    };
    const sdp = await abortable(exchange(), signal);
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
    this.#resumes = /^a=webmsrp-resumes\s/m.test(`${sdp}\n`);
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
    this.#begun.then(() => this.#stalled || message._start(this.#number, this.#generation, this.#mayRepeat, this.#doubt));
    return message;
  }

  /** Whether a message may be sent again that may have arrived. */
  #mayRepeat = () => this.#resumes === undefined || (this.#resumes && this.#listened.has("negotiationneeded") && this.#client.patience > 0);

  /** @param {MsrpError} error The peer cannot be reached, but may have another path soon. */
  #doubt = (error) => {
    if (this.#state !== "connected") return;
    this.#renews = true;
    this.#lose(error);
  };

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
        if (event.state !== "closed") this.#enter(event.state);
        else if (event.outlived && this.#client.patience > 0) this.#lose(MsrpError.from(event.error));
        else this.#fail(event.error && event.error.kind !== "closed" ? MsrpError.from(event.error) : undefined);
        break;
      case "moved":
        this.#generation = event.generation;
        this.#stalled = false;
        for (const message of this.#outgoing) message._start(this.#number, this.#generation, this.#mayRepeat, this.#doubt);
        break;
      case "agreed":
        this.#renewBefore(event.left);
        if (event.stays && this.#stalled) {
          // It was the peer's exchange, in place of the own.
          this.#renews = true;
          this._negotiate();
        }
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

  /** @param {"connecting" | "connected"} state */
  #enter(state) {
    if (state === this.#state || (state === "connecting" && this.#state !== "new")) return; // it was there before
    clearTimeout(this.#late);
    this.#setState(state);
  }

  /** @param {MsrpError} error The path to the peer is gone. */
  #lose(error) {
    // A file goes on in a session of its own, from where it was (RFC 5547, section 8.7).
    if (!this.#listened.has("negotiationneeded") || this.#transfer || this.#taken) {
      this.#fail(error);
      return;
    }
    this.#stalled = true;
    if (this.#state !== "disconnected") {
      const why = () => new MsrpError("The conversation was interrupted, and the other side did not come back. Start a new one; what was not confirmed may or may not have arrived.", { kind: "lost", cause: error });
      this.#late = setTimeout(() => this.#fail(why()), this.#client.patience);
      this.#setState("disconnected");
    }
    // Where it was the client's connection, another comes first.
    if (error.kind !== "lost") this._negotiate();
  }

  /** Asks the page for another exchange, if one is needed and the client has a connection for it. */
  _negotiate() {
    if ((this.#state === "disconnected" || this.#renews) && this.#client.connectionState === "connected") this.dispatchEvent(new Event("negotiationneeded"));
  }

  /**
   * Has the session move while a quarter of the time of its token is left, and
   * not at the moment at which the peer does.
   * @param {number} left in milliseconds, 0 where nobody knows
   */
  #renewBefore(left) {
    clearTimeout(this.#renewal);
    if (left === 0 || this.#transfer || this.#taken) return;
    this.#renewal = setTimeout(() => {
      this.#renews = true;
      this._negotiate();
    }, Math.min(left * (0.75 - Math.random() / 8), longestTime));
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

  /** @param {MsrpError | undefined} error Ends the session, also in the core. */
  #fail(error) {
    this._end(error);
    this.#call("close", {}).catch(() => {}); // a core that is gone has no sessions
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
    clearTimeout(this.#renewal);
    clearTimeout(this.#late);
    const reason = error ?? new MsrpError("The conversation is closed.", { kind: "closed" });
    for (const message of this.#outgoing) message._sessionEnded(reason);
    this.#fileQuestion?._end(reason);
    this.#answer?.reject(reason);
    if (this.#taken?.file.state === "waiting") this.#taken.file._fail(reason);
    for (const file of this.#files) file.resume(); // to its end, which nothing would tell it of
    this.#setState(error && error.kind !== "closed" ? "failed" : "closed");
    this.#settleClosed(error);
  }

  /** @param {"connecting" | "connected" | "disconnected" | "failed" | "closed"} state */
  #setState(state) {
    this.#state = state;
    this.dispatchEvent(new Event("connectionstatechange"));
  }
}
