// Signalling through the rendezvous of webmsrp serve: names that exchange offers
// and answers as JSON over a WebSocket.

import { abortable } from "../abort.js";
import { backOff, onWake, watchSilence } from "../recovery.js";
import { MsrpError } from "../webmsrp.js";
import { IncomingCallEvent } from "./incoming.js";
import { because, refusal } from "./refusal.js";
import { Registration } from "./registration.js";

export { IncomingCallEvent };

const subprotocol = "webmsrp-rendezvous";

/** The code that closes a WebSocket which is taken for dead, and replaced. */
const comesBack = 4000;

/** How long registering may take, in milliseconds. */
const openTime = 15_000;

/** How long an offer within a call may wait for its answer. */
const answerTime = 10_000;

/** Refusals of such an offer that are no end of the call: the other side may be away. */
const passing = [404, 408, 429, 503];

/** @typedef {import("../webmsrp.d.ts").MsrpSession} MsrpSession */
/** @typedef {import("../webmsrp.d.ts").MsrpCredentials} Credentials */
/**
 * @typedef {object} Options
 * @property {string} name
 * @property {string} [username]
 * @property {string} [password]
 * @property {() => Credentials | Promise<Credentials>} [credentials] asked whenever it connects
 * @property {boolean | {timeout?: number}} [reconnect] as that of MsrpClient.connect
 * @property {AbortSignal} [signal] gives up connecting
 */

/**
 * A name at a rendezvous. Events: "incoming" (IncomingCallEvent),
 * "connectionstatechange", "close".
 */
export class Rendezvous extends Registration {
  #url;
  #options;
  /** @type {WebSocket | undefined} */
  #socket;
  /** @type {Map<string, Call>} */
  #calls = new Map();
  /** What is to be said once there is a connection again. @type {any[]} */
  #unsaid = [];

  /**
   * Registers a name. A WebSocket that is lost is replaced by another.
   * @param {string | URL} url of the WebSocket
   * @param {Options} options
   * @returns {Promise<Rendezvous>}
   */
  static async connect(url, options) {
    options.signal?.throwIfAborted();
    const target = new URL(url, location.href);
    target.protocol = target.protocol.replace("http", "ws");
    const rendezvous = new Rendezvous(target, options);
    await rendezvous._open(options.signal);
    rendezvous._setState("connected");
    return rendezvous;
  }

  /**
   * @param {URL} url
   * @param {Options} options
   */
  constructor(url, options) {
    super(options.reconnect);
    this.#url = url;
    this.#options = options;
    this.name = options.name;
  }

  get _calls() {
    return this.#calls.values();
  }

  /** @param {AbortSignal | undefined} signal Opens a WebSocket and registers the name. */
  async _open(signal) {
    const { name, credentials } = this.#options;
    const { username, password } = (await abortable((async () => credentials?.())(), signal)) ?? this.#options;
    const socket = new WebSocket(this.#url, subprotocol);
    const answer = new Promise((resolve, reject) => {
      socket.onopen = () => socket.send(JSON.stringify({ type: "register", name, username, password, resumes: this._patience > 0 }));
      socket.onmessage = ({ data }) => resolve(JSON.parse(data));
      socket.onclose = () => reject(new MsrpError(`The rendezvous at ${this.#url.href} cannot be reached: is the proxy running?`));
    });
    const late = setTimeout(() => socket.close(), openTime);
    try {
      const { type, name: registered, code, reason } = await abortable(answer, signal);
      if (code === 403) throw new MsrpError(because(`${name} is not your name`, reason), { code });
      if (type !== "registered") throw MsrpError.status(code, reason);
      this.name = registered;
    } catch (error) {
      socket.onclose = null;
      socket.close();
      throw error;
    } finally {
      clearTimeout(late);
    }
    this.#attend(socket);
    for (const message of this.#unsaid.splice(0)) this.#send(message);
  }

  /** @param {WebSocket} socket */
  #attend(socket) {
    this.#socket = socket;
    const silence = watchSilence(
      () => this.#send({ type: "ping" }),
      () => this.#lose(),
    );
    const stop = onWake(() => silence.check());
    socket.onmessage = ({ data }) => {
      silence.hear();
      this.#receive(JSON.parse(data));
    };
    socket.onclose = () => this.#lose();
    this.#leave = (code) => {
      silence.stop();
      stop();
      socket.onclose = socket.onmessage = null;
      socket.close(code);
    };
  }

  /** Takes leave of the WebSocket. */
  #leave = (/** @type {number} */ code) => {};

  _leave() {
    this.#leave(1000);
  }

  /** The WebSocket is gone. */
  #lose() {
    this.#leave(comesBack);
    this._recover(new MsrpError("The connection to the rendezvous was lost.", { kind: "lost" }));
  }

  /** @param {any} message */
  #receive(message) {
    if (message.type === "error") {
      if (message.code === 503) this.#lose(); // the server starts anew
      else this._end(message.code === 409 ? new MsrpError(`${this.name} was opened in another place.`, { code: 409 }) : MsrpError.status(message.code, message.reason));
      return;
    }
    const call = this.#calls.get(message.call);
    if (call && message.type !== "offer" && (message.from ?? call.peer) !== call.peer) return; // the server need not know whose call it is
    if (call) call._receive(message);
    else if (message.type === "offer" && message.again) this.#send({ type: "refuse", call: message.call, to: message.from, code: 481, reason: "the conversation is over", again: message.again });
    else if (message.type === "offer") this.#ring(new Call(this.#line(message.call), message.call, message.from, message.sdp, false));
  }

  /** @param {Call} call */
  #ring(call) {
    this.#calls.set(call.id, call);
    if (!this.dispatchEvent(new IncomingCallEvent(call)) || !this._listens) call.refuse(486, "nobody takes calls here");
  }

  /**
   * What a call needs of its rendezvous.
   * @param {string} id
   */
  #line(id) {
    return {
      send: (/** @type {object} */ message) => this.#send(message),
      forget: () => this.#calls.delete(id),
    };
  }

  /**
   * Calls a name with an offer. Rejects with code 404 where nobody is there,
   * 486 busy, 408 no answer, 603 declined, 503 where the server is cut off from
   * others.
   * @param {string} to
   * @param {string} sdp
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<{call: Call, answer: string}>}
   */
  call(to, sdp, { signal } = {}) {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (this._error) throw this._error;
      const id = crypto.getRandomValues(new Uint8Array(15)).reduce((s, octet) => s + octet.toString(36).padStart(2, "0"), "");
      const call = new Call(this.#line(id), id, to, "", true);
      this.#calls.set(id, call);
      const abort = () => {
        call.bye("canceled");
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", abort, { once: true });
      call._onanswer = (answer) => {
        signal?.removeEventListener("abort", abort);
        resolve({ call, answer });
      };
      call._onrefuse = (error) => {
        signal?.removeEventListener("abort", abort);
        reject(error);
      };
      this.#send({ type: "offer", call: id, to, sdp });
    });
  }

  /** @param {any} message */
  #send(message) {
    const offered = this.#unsaid.findIndex(({ call }) => call === message.call);
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
    else if (offered >= 0) this.#unsaid.splice(offered, 1); // nobody has heard of the call
    else if (message.type === "bye" || (message.type === "offer" && !message.again)) this.#unsaid.push(message);
  }

  close() {
    this._end(new MsrpError("The rendezvous is closed.", { kind: "closed" }));
  }
}

/**
 * A call: exchanges of descriptions and their end. Event: "bye", after which
 * reason says why it ended.
 */
export class Call extends EventTarget {
  #line;
  #over = false;
  #own;
  #answered = false;
  reason = "";
  /** What further offers are about. @type {MsrpSession | undefined} */
  #session;
  /** The number of this side's last such offer, and of the other's. */
  #count = 0;
  #theirs = 0;
  /** That waits for its answer. @type {{sdp: string, resolve: (sdp: string) => void, reject: (error: MsrpError) => void} | undefined} */
  #offered;
  /** Of what is being exchanged. @type {AbortController | undefined} */
  #exchange;
  /** @type {(sdp: string) => void} */
  _onanswer = () => {};
  /** @type {(error: MsrpError) => void} */
  _onrefuse = () => {};

  /**
   * @param {{send: (message: object) => void, forget: () => void}} line
   * @param {string} id
   * @param {string} peer the other party's name
   * @param {string} offer that of an incoming call
   * @param {boolean} own whether this side calls
   */
  constructor(line, id, peer, offer, own) {
    super();
    this.#line = line;
    this.id = id;
    this.peer = peer;
    this.offer = offer;
    this.#own = own;
  }

  /** Whether the call has ended. */
  get over() {
    return this.#over;
  }

  /** @param {string} sdp Accepts an incoming call. */
  answer(sdp) {
    if (this.#over) return;
    this.#answered = true;
    this.#line.send({ type: "answer", call: this.id, sdp });
  }

  /**
   * Has the session of the call go on when its path was lost, or has to change:
   * offers it anew when it needs that, and answers when the other side does.
   * @param {MsrpSession} session
   */
  keep(session) {
    this.#session = session;
    session.addEventListener("negotiationneeded", () => this.#offerAgain(session));
  }

  /**
   * Offers the session again until that is answered, or the other side's offer
   * was.
   * @param {MsrpSession} session
   */
  async #offerAgain(session) {
    const signal = this.#begin();
    for (let attempt = 0; !this.#over && !signal.aborted; attempt++) {
      try {
        if (attempt > 0) await backOff(attempt, signal);
        const { sdp } = await session.createOffer({ signal });
        const answer = await this.#askAgain(sdp, signal);
        await session.setRemoteDescription({ type: "answer", sdp: answer }, { signal });
        return;
      } catch (error) {
        // Refused credentials are not tried again, lest the user is locked out.
        const { code } = /** @type {MsrpError} */ (error);
        if (code === 401 || code === 403 || session.connectionState === "closed" || session.connectionState === "failed") return;
      }
    }
  }

  /** Begins an exchange, in place of one that is under way. */
  #begin() {
    this.#exchange?.abort();
    this.#exchange = new AbortController();
    return this.#exchange.signal;
  }

  /**
   * @param {string} sdp
   * @param {AbortSignal} signal
   * @returns {Promise<string>} the answer
   */
  async #askAgain(sdp, signal) {
    /** @type {Promise<string>} */
    const answered = new Promise((resolve, reject) => (this.#offered = { sdp, resolve, reject }));
    const offered = this.#offered;
    const late = setTimeout(() => offered?.reject(refusal(408, "", this.peer)), answerTime);
    this.#say(sdp);
    try {
      return await abortable(answered, signal);
    } finally {
      clearTimeout(late);
      if (this.#offered === offered) this.#offered = undefined;
    }
  }

  /** @param {string} sdp Makes an offer within the call. */
  #say(sdp) {
    this.#line.send({ type: "offer", call: this.id, to: this.peer, sdp, again: ++this.#count });
  }

  /** Comes back to the call: the other side, and the server, have to hear of it. */
  _reconnected() {
    if (this.#session) this.#offerAgain(this.#session);
  }

  /** @param {any} message The other side's offer within the call. */
  async #answerAgain({ from, sdp, again }) {
    const session = this.#session;
    if (from !== this.peer || !session) {
      this.#line.send({ type: "refuse", call: this.id, to: from, code: 481, reason: "the conversation does not go on", again });
      return;
    }
    if (again <= this.#theirs) return;
    this.#theirs = again;
    if (this.#own && this.#offered) {
      // Where both offer, the caller's counts. It may have been answered where
      // nobody listened any more.
      this.#say(this.#offered.sdp);
      return;
    }
    const signal = this.#begin();
    try {
      await session.setRemoteDescription({ type: "offer", sdp }, { signal });
      const answer = await session.createAnswer({ signal });
      this.#line.send({ type: "answer", call: this.id, sdp: answer.sdp, again });
    } catch {
      // The other side offers again, or this one when it has a connection.
    }
  }

  /**
   * Declines an incoming call.
   * @param {number} code 486 busy, 488 unacceptable, 603 declined
   * @param {string} reason
   */
  refuse(code, reason) {
    this.#finish({ type: "refuse", call: this.id, code, reason });
  }

  /** @param {string} [reason] Ends the call. */
  bye(reason = "") {
    this.#finish({ type: "bye", call: this.id, to: this.peer, reason });
  }

  /** @param {{type: string, call: string, to?: string, code?: number, reason: string}} message */
  #finish(message) {
    if (this.#over) return;
    this.#line.send(message);
    this.#end(message.reason);
  }

  /** @param {any} message */
  _receive(message) {
    if (message.type === "answer") {
      if (!message.again) {
        this.#answered = true;
        this._onanswer(message.sdp);
      } else if (message.again === this.#count) this.#offered?.resolve(message.sdp);
      return;
    }
    if (message.type === "offer") {
      if (message.again) this.#answerAgain(message);
      return;
    }
    if (this.#over) return;
    if (message.type === "refuse" && this.#answered) {
      if (message.again !== this.#count) return;
      if (passing.includes(message.code)) {
        this.#offered?.reject(refusal(message.code, message.reason, this.peer));
        return;
      }
    }
    this._onrefuse(message.type === "refuse" ? refusal(message.code, message.reason, this.peer) : new MsrpError(because("The call ended", message.reason)));
    this.#end(message.reason);
  }

  /** @param {MsrpError} error The WebSocket is gone: only a call that was answered goes on. */
  _disconnected(error) {
    if (!this.#answered) this._lose(error);
  }

  /** @param {MsrpError} error Ends the call with its rendezvous. */
  _lose(error) {
    this._onrefuse(error);
    this.#end(error.kind === "closed" ? "closed" : error.message);
  }

  /** @param {string} reason */
  #end(reason) {
    this.#over = true;
    this.#exchange?.abort();
    this.reason = reason ?? "";
    this.#line.forget();
    this.dispatchEvent(new Event("bye"));
  }
}
