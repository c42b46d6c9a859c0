// Signalling through the rendezvous of webmsrp serve: names that exchange offers
// and answers as JSON over a WebSocket.

import { MsrpError } from "../webmsrp.js";

const subprotocol = "webmsrp-rendezvous";

/** A call came in: accept or refuse its call. */
export class IncomingCallEvent extends Event {
  /** @param {Call} call */
  constructor(call) {
    super("incoming");
    this.call = call;
  }
}

/**
 * A name at a rendezvous. Events: "incoming" (IncomingCallEvent), "close".
 */
export class Rendezvous extends EventTarget {
  /** @type {WebSocket} */
  #socket;
  /** @type {Map<string, Call>} */
  #calls = new Map();
  /** @type {MsrpError | undefined} */
  #error;

  /**
   * Registers a name.
   * @param {string | URL} url of the WebSocket
   * @param {{name: string, username?: string, password?: string, signal?: AbortSignal}} options
   * @returns {Promise<Rendezvous>}
   */
  static connect(url, { name, username, password, signal }) {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const target = new URL(url, location.href);
      target.protocol = target.protocol.replace("http", "ws");
      const socket = new WebSocket(target, subprotocol);
      const rendezvous = new Rendezvous(socket, name);
      const abort = () => {
        reject(signal?.reason);
        socket.close();
      };
      signal?.addEventListener("abort", abort, { once: true });
      socket.onopen = () => socket.send(JSON.stringify({ type: "register", name, username, password }));
      socket.onclose = () => reject(new MsrpError(`The rendezvous at ${target.href} cannot be reached: is the proxy running?`));
      socket.onmessage = ({ data }) => {
        signal?.removeEventListener("abort", abort);
        const message = JSON.parse(data);
        if (message.type !== "registered") {
          reject(message.code === 403 ? new MsrpError(because(`${name} is not your name`, message.reason), { code: 403 }) : MsrpError.status(message.code, message.reason));
          socket.onclose = null;
          socket.close();
          return;
        }
        rendezvous.name = message.name;
        rendezvous.#attend();
        resolve(rendezvous);
      };
    });
  }

  /**
   * @param {WebSocket} socket
   * @param {string} name
   */
  constructor(socket, name) {
    super();
    this.#socket = socket;
    this.name = name;
    /** Resolves when the registration has ended, with the reason unless it was close(). @type {Promise<MsrpError | undefined>} */
    this.closed = new Promise((resolve) => this.addEventListener("close", () => resolve(this.#error?.kind === "closed" ? undefined : this.#error)));
  }

  #attend() {
    this.#socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    this.#socket.onclose = () => this.#end(new MsrpError("The connection to the rendezvous was lost.", { kind: "lost" }));
  }

  /** @param {any} message */
  #receive(message) {
    if (message.type === "error") {
      this.#end(message.code === 409 ? new MsrpError(`${this.name} was opened in another place.`, { code: 409 }) : MsrpError.status(message.code, message.reason));
      return;
    }
    if (message.type === "offer") {
      const call = new Call((m) => this.#send(m), () => this.#calls.delete(message.call), message.call, message.from, message.sdp);
      this.#calls.set(message.call, call);
      if (!this.dispatchEvent(new IncomingCallEvent(call)) || !this.#listens) call.refuse(486, "nobody takes calls here");
      return;
    }
    this.#calls.get(message.call)?._receive(message);
  }

  #listens = false;

  /**
   * @param {string} type
   * @param {EventListenerOrEventListenerObject | null} listener
   * @param {boolean | AddEventListenerOptions} [options]
   * @override
   */
  addEventListener(type, listener, options) {
    if (type === "incoming") this.#listens = true;
    super.addEventListener(type, listener, options);
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
      if (this.#error) throw this.#error;
      const id = crypto.getRandomValues(new Uint8Array(15)).reduce((s, octet) => s + octet.toString(36).padStart(2, "0"), "");
      const call = new Call((m) => this.#send(m), () => this.#calls.delete(id), id, to, "");
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

  /** @param {object} message */
  #send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  close() {
    this.#end(undefined);
  }

  /** @param {MsrpError | undefined} error */
  #end(error) {
    if (this.#socket.onclose === null) return;
    this.#socket.onclose = this.#socket.onmessage = null;
    this.#socket.close();
    this.#error = error ?? new MsrpError("The rendezvous is closed.", { kind: "closed" });
    for (const call of [...this.#calls.values()]) call._lose(this.#error);
    this.dispatchEvent(new Event("close"));
  }
}

/**
 * A call: one exchange of descriptions and its end. Event: "bye", after which
 * reason says why it ended.
 */
export class Call extends EventTarget {
  #send;
  #forget;
  #over = false;
  reason = "";
  /** @type {(sdp: string) => void} */
  _onanswer = () => {};
  /** @type {(error: MsrpError) => void} */
  _onrefuse = () => {};

  /**
   * @param {(message: object) => void} send
   * @param {() => void} forget
   * @param {string} id
   * @param {string} peer the other party's name
   * @param {string} offer that of an incoming call
   */
  constructor(send, forget, id, peer, offer) {
    super();
    this.#send = send;
    this.#forget = forget;
    this.id = id;
    this.peer = peer;
    this.offer = offer;
  }

  /** Whether the call has ended. */
  get over() {
    return this.#over;
  }

  /** @param {string} sdp Accepts an incoming call. */
  answer(sdp) {
    if (!this.#over) this.#send({ type: "answer", call: this.id, sdp });
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
    this.#finish({ type: "bye", call: this.id, reason });
  }

  /** @param {{type: string, call: string, code?: number, reason: string}} message */
  #finish(message) {
    if (this.#over) return;
    this.#send(message);
    this.#end(message.reason);
  }

  /** @param {any} message */
  _receive(message) {
    if (message.type === "answer") {
      this._onanswer(message.sdp);
      return;
    }
    if (this.#over) return;
    this._onrefuse(message.type === "refuse" ? refusal(message.code, message.reason, this.peer) : new MsrpError(because("The call ended", message.reason)));
    this.#end(message.reason);
  }

  /** @param {MsrpError} error Ends the call with its rendezvous. */
  _lose(error) {
    this._onrefuse(error);
    this.#end(error.kind === "closed" ? "closed" : error.message);
  }

  /** @param {string} reason */
  #end(reason) {
    this.#over = true;
    this.reason = reason ?? "";
    this.#forget();
    this.dispatchEvent(new Event("bye"));
  }
}

/**
 * @param {string} what
 * @param {string | undefined} reason in the other side's words, if it gave one
 */
function because(what, reason) {
  if (!reason) return `${what}.`;
  return `${what}: ${reason}${/[.!?]$/.test(reason) ? "" : "."}`;
}

/**
 * @param {number} code
 * @param {string} reason
 * @param {string} peer
 */
function refusal(code, reason, peer) {
  /** @type {Record<number, string>} */
  const texts = {
    404: `${peer} is not here.`,
    408: `${peer} does not answer.`,
    486: `${peer} is busy.`,
    488: because(`${peer} cannot accept this conversation`, reason),
    429: because("The server slows this down", reason),
    503: `${peer} cannot be reached at the moment.`,
    603: `${peer} declined.`,
  };
  return texts[code] ? new MsrpError(texts[code], { code }) : MsrpError.status(code, reason);
}
