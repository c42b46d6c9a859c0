// A user at a SIP server, reached over a WebSocket (RFC 7118), on SIP.js.

import { Inviter, Messager, Registerer, RegistererState, TransportState, UserAgent, UserAgentState } from "sip.js";
import { abortable } from "../abort.js";
import { onWake, watchSilence } from "../recovery.js";
import { MsrpError } from "../webmsrp.js";
import { IncomingCallEvent } from "./incoming.js";
import { because, refusal } from "./refusal.js";
import { Registration } from "./registration.js";
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
 * (SipMessageEvent), "connectionstatechange", "close".
 */
export class Sip extends Registration {
  #agent;
  #url;
  #uri;
  #options;
  /** @type {Registerer | undefined} */
  #registerer;
  /** @type {Set<Call>} */
  #calls = new Set();
  /** By SIP.js's session, which asks for it. @type {WeakMap<object, Call>} */
  #bySession = new WeakMap();
  /** Ends what watches the connection. */
  #leave = () => {};

  /**
   * Connects to a SIP server and registers there. A WebSocket that is lost is
   * replaced by another.
   * @param {string | URL} url of the server's WebSocket
   * @param {Options} options
   * @returns {Promise<Sip>}
   */
  static async connect(url, options) {
    options.signal?.throwIfAborted();
    const target = new URL(url, location.href);
    target.protocol = target.protocol.replace("http", "ws");
    const sip = new Sip(target, options);
    try {
      await sip._open(options.signal);
    } catch (error) {
      sip.close();
      throw error;
    }
    sip._setState("connected");
    return sip;
  }

  /**
   * @param {URL} url
   * @param {Options} options
   */
  constructor(url, options) {
    super(options.reconnect);
    const { name, displayName = "" } = options;
    const uri = addressOf(name);
    if (!uri?.user) throw new MsrpError(`${name} is not a SIP address: it looks like sip:alice@example.com.`);
    this.#url = url;
    this.#uri = uri;
    this.#options = options;
    this.name = name;
    this.#agent = new UserAgent({
      uri,
      displayName,
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
          if (error && this.connectionState === "connected") this.#lose();
        },
      },
    });
  }

  get _calls() {
    return this.#calls;
  }

  /** @param {AbortSignal | undefined} signal Opens a WebSocket and registers. */
  async _open(signal) {
    const { credentials, register = true } = this.#options;
    const { username, password = "" } = (await abortable((async () => credentials?.())(), signal)) ?? this.#options;
    Object.assign(this.#agent.configuration, { authorizationUsername: username || this.#uri.user, authorizationPassword: password });
    const connecting = this.#agent.state === UserAgentState.Started ? this.#agent.reconnect() : this.#agent.start();
    await abortable(
      connecting.catch((cause) => {
        throw new MsrpError(`The SIP server at ${this.#url.href} cannot be reached.`, { cause });
      }),
      signal,
    );
    if (register) await abortable(this.#registered(), signal);
    this.#attend();
  }

  /** Registers, unless the connection is lost before. */
  async #registered() {
    const { stateChange } = this.#agent.transport;
    /** @type {(state: TransportState) => void} */
    let listener = () => {};
    const gone = new Promise((_, reject) => {
      listener = (state) => state === TransportState.Disconnected && reject(lost());
      stateChange.addListener(listener);
    });
    try {
      await Promise.race([this.#register(), gone]);
    } finally {
      stateChange.removeListener(listener);
    }
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
          if (registerer === this.#registerer && this.connectionState === "connected") this._end(error);
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

  /** Watches the connection. */
  #attend() {
    const { transport, userAgentCore } = this.#agent;
    const silence = watchSilence(
      () => {
        // Whatever it answers is a sign of life.
        const server = Object.assign(this.#uri.clone(), { user: undefined });
        userAgentCore.request(userAgentCore.makeOutgoingRequestMessage("OPTIONS", server, this.#uri, server, {}));
      },
      () => this.#lose(),
    );
    const receive = transport.onMessage;
    transport.onMessage = (message) => {
      silence.hear();
      receive?.(message);
    };
    const stop = onWake(() => silence.check());
    this.#leave = () => {
      silence.stop();
      stop();
      transport.onMessage = receive;
    };
  }

  /** The WebSocket is gone. */
  #lose() {
    this.#leave();
    this.#agent.transport.disconnect().catch(() => {}); // of one that is only silent
    // Without a connection it can take nothing back.
    this.#registerer?.dispose();
    this.#registerer = undefined;
    this._recover(lost());
  }

  _leave() {
    this.#leave();
  }

  /** @param {MsrpError} error */
  _end(error) {
    super._end(error);
    // Takes back the registration, if there is one, and waits for the end of calls.
    this.#agent.stop().catch(() => {}); // a server that is gone, or stopped before
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
    if (!this._listens) call.refuse(486, "nobody takes calls here");
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

  /** @param {string} to A SIP address, or a user of the same server. */
  #target(to) {
    const uri = /[:@]/.test(to) ? addressOf(to) : Object.assign(this.#uri.clone(), { user: to });
    if (!uri) throw new MsrpError(`${to} is not a SIP address: it looks like sip:bob@example.com.`);
    if (this._error) throw this._error;
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
    this._end(new MsrpError("The SIP user is closed.", { kind: "closed" }));
  }
}

function lost() {
  return new MsrpError("The connection to the SIP server was lost.", { kind: "lost" });
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
