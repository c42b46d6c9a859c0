// A user at a SIP server, reached over a WebSocket (RFC 7118), on SIP.js.

import { Inviter, Messager, Registerer, RegistererState, UserAgent } from "sip.js";
import { abortable } from "../abort.js";
import { MsrpError } from "../webmsrp.js";
import { IncomingCallEvent } from "./incoming.js";
import { because, refusal } from "./refusal.js";
import { Call } from "./sip-call.js";
import { asked, reasonOf, sdpType, warning } from "./sip-words.js";

/** How long a registration is to last, in seconds. */
const lifetime = 600;

/** @typedef {import("../webmsrp.d.ts").MsrpSession} MsrpSession */
/** @typedef {import("sip.js").Invitation} Invitation */
/** @typedef {import("sip.js").URI} URI */
/** @typedef {import("../types/signalling/sip.d.ts").SipOptions} Options */

/** A message outside of any call came in (RFC 3428). */
export class SipMessageEvent extends Event {
  /** @param {{from: string, contentType: string, body: string}} message */
  constructor({ from, contentType, body }) {
    super("message");
    this.from = from;
    this.contentType = contentType;
    this.body = body;
  }
}

/**
 * A user at a SIP server. Events: "incoming" (IncomingCallEvent), "message"
 * (SipMessageEvent), "close".
 */
export class Sip extends EventTarget {
  #agent;
  #uri;
  /** @type {Registerer | undefined} */
  #registerer;
  /** @type {Set<Call>} */
  #calls = new Set();
  /** By SIP.js's session, which asks for it. @type {WeakMap<object, Call>} */
  #bySession = new WeakMap();
  /** @type {MsrpError | undefined} */
  #error;
  #listens = false;

  /**
   * @param {string | URL} url of the server's WebSocket
   * @param {Options} options
   * @returns {Promise<Sip>}
   */
  static async connect(url, options) {
    const { signal } = options;
    signal?.throwIfAborted();
    const target = new URL(url, location.href);
    target.protocol = target.protocol.replace("http", "ws");
    const sip = new Sip(target, options);
    const over = sip.closed.then((error) => {
      throw error;
    });
    try {
      await abortable(Promise.race([sip.#open(target, options.register ?? true), over]), signal);
    } catch (error) {
      sip.close();
      throw error;
    }
    return sip;
  }

  /**
   * @param {URL} url
   * @param {Options} options
   */
  constructor(url, { name, username = "", password = "", displayName = "" }) {
    super();
    const uri = addressOf(name);
    if (!uri?.user) throw new MsrpError(`${name} is not a SIP address: it looks like sip:alice@example.com.`);
    this.#uri = uri;
    this.name = name;
    this.#agent = new UserAgent({
      uri,
      displayName,
      authorizationUsername: username || uri.user,
      authorizationPassword: password,
      transportOptions: { server: url.href },
      contactParams: { transport: url.protocol.slice(0, -1) },
      userAgentString: "webmsrp",
      sipExtensionExtraSupported: ["gruu"], // an address that outlives the connection
      logBuiltinEnabled: false,
      sessionDescriptionHandlerFactory: (session) => /** @type {Call} */ (this.#bySession.get(session))._descriptions,
      delegate: {
        onInvite: (invitation) => this.#invited(invitation),
        onMessage: (message) => {
          message.accept();
          const { from, body } = message.request;
          this.dispatchEvent(new SipMessageEvent({ from: plain(from.uri), contentType: message.request.getHeader("Content-Type") ?? "text/plain", body }));
        },
        onDisconnect: (error) => {
          if (error) this.#end(new MsrpError("The connection to the SIP server was lost.", { kind: "lost" }));
        },
      },
    });
    /** Resolves when it has ended, with the reason unless it was close(). @type {Promise<MsrpError | undefined>} */
    this.closed = new Promise((resolve) => this.addEventListener("close", () => resolve(this.#error?.kind === "closed" ? undefined : this.#error)));
  }

  /**
   * @param {URL} url
   * @param {boolean} register
   */
  async #open(url, register) {
    await this.#agent.start().catch((cause) => {
      throw new MsrpError(`The SIP server at ${url.href} cannot be reached.`, { cause });
    });
    if (register) await this.#register();
  }

  /** @returns {Promise<void>} */
  #register() {
    const registerer = (this.#registerer = new Registerer(this.#agent, { instanceId: this.#agent.instanceId, regId: 1, expires: lifetime, refreshFrequency: 75, logConfiguration: false }));
    return new Promise((resolve, reject) => {
      registerer.stateChange.addListener((state) => {
        if (state === RegistererState.Registered) resolve();
        // Why is told afterwards, if at all.
        if (state === RegistererState.Unregistered) queueMicrotask(() => {
          const error = new MsrpError("The SIP server does not register this address.");
          reject(error);
          this.#end(error);
        });
      });
      const requestDelegate = {
        /** @param {import("sip.js").Core.IncomingResponse} response */
        onReject: ({ message }) => {
          const code = message.statusCode ?? 0;
          reject(code === 403 ? new MsrpError(because(`${this.name} is not your address`, reasonOf(message)), { code }) : refusal(code, reasonOf(message), "The SIP server"));
        },
      };
      registerer.register({ requestDelegate }).catch(reject);
    });
  }

  /** @param {Invitation} invitation */
  #invited(invitation) {
    const { request } = invitation;
    const isDescription = (request.getHeader("Content-Type") ?? "").toLowerCase().startsWith(sdpType);
    if (!isDescription) {
      invitation.reject(request.body ? { statusCode: 415, extraHeaders: [`Accept: ${sdpType}`] } : { statusCode: 488, extraHeaders: [warning("an INVITE without an offer")] });
      return;
    }
    const call = this.#enter(invitation, plain(invitation.remoteIdentity.uri), request.body, false);
    this.dispatchEvent(new IncomingCallEvent(call));
    if (!this.#listens) call.refuse(486, "nobody takes calls here");
  }

  /**
   * @param {Inviter | Invitation} session
   * @param {string} peer
   * @param {string} offer
   * @param {boolean} own
   */
  #enter(session, peer, offer, own) {
    const call = new Call(session, () => this.#calls.delete(call), peer, offer, own);
    this.#calls.add(call);
    this.#bySession.set(session, call);
    return call;
  }

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

  /** @param {string} to A SIP address, or a user of the same server. */
  #target(to) {
    const uri = /[:@]/.test(to) ? addressOf(to) : Object.assign(this.#uri.clone(), { user: to });
    if (!uri) throw new MsrpError(`${to} is not a SIP address: it looks like sip:bob@example.com.`);
    if (this.#error) throw this.#error;
    return uri;
  }

  /**
   * Calls with an offer, however long the other side rings.
   * @param {string} to
   * @param {string} sdp
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<{call: Call, answer: string}>}
   */
  async call(to, sdp, { signal } = {}) {
    signal?.throwIfAborted();
    const inviter = new Inviter(this.#agent, this.#target(to));
    const call = this.#enter(inviter, to, sdp, true);
    return call._invite(signal);
  }

  /**
   * Sends a message outside of any call (RFC 3428): a short text.
   * @param {string} to
   * @param {string} body
   * @param {{contentType?: string, signal?: AbortSignal}} [options]
   * @returns {Promise<void>}
   */
  async message(to, body, { contentType = "text/plain", signal } = {}) {
    signal?.throwIfAborted();
    const messager = new Messager(this.#agent, this.#target(to), body, contentType);
    await abortable(asked(to, (requestDelegate) => messager.message({ requestDelegate })), signal);
  }

  close() {
    this.#end(undefined);
  }

  /** @param {MsrpError | undefined} error */
  #end(error) {
    if (this.#error) return;
    this.#error = error ?? new MsrpError("The SIP user is closed.", { kind: "closed" });
    for (const call of [...this.#calls]) call._lose(this.#error);
    // Takes back the registration, if there is one, and waits for the end of calls.
    this.#agent.stop().catch(() => {}); // a server that is gone
    this.dispatchEvent(new Event("close"));
  }
}

/**
 * @param {string} address
 * @returns {URI | undefined}
 */
function addressOf(address) {
  const uri = UserAgent.makeURI(/^[a-z][\w+.-]*:/i.test(address) ? address : `sip:${address}`);
  return uri?.host && /^sips?$/i.test(uri.scheme) ? uri : undefined;
}

/** @param {URI} uri without parameters */
function plain(uri) {
  const { scheme, user, host, port } = uri;
  return `${scheme}:${user ? `${user}@` : ""}${host}${port ? `:${port}` : ""}`;
}
