// A call by SIP. SIP.js's seam for media, the session description handler, carries
// descriptions of MSRP sessions as well.

import { SessionState } from "sip.js";
import { abortable } from "../abort.js";
import { backOff } from "../recovery.js";
import { MsrpError } from "../webmsrp.js";
import { refusal } from "./refusal.js";
import { asked, quote, sdpType, textOf, warning } from "./sip-words.js";

/** @typedef {import("../webmsrp.d.ts").MsrpSession} MsrpSession */
/** @typedef {import("sip.js").Inviter} Inviter */
/** @typedef {import("sip.js").Invitation} Invitation */

/**
 * A call: exchanges of descriptions and their end. Events: "bye", after which
 * reason says why it ended, "hold", after which held says whether the other side
 * holds the call.
 */
export class Call extends EventTarget {
  #sip;
  #forget;
  #own;
  #over = false;
  #held = false;
  reason = "";
  /** Whether the other side holds the call: it wants nothing at the moment. */
  held = false;

  /** This side's part of the first exchange. */
  #first = "";
  /** The other side's. */
  #answer = "";
  /** What further exchanges are about. @type {MsrpSession | undefined} */
  #session;
  /** Whether an offer of the other side waits for its answer. */
  #asked = false;
  /** Whether the answer to the last offer could be taken. @type {unknown} */
  #failure;
  /** What this side said last, and which version of it that was. */
  #said = "";
  #version = 0n;
  /** Of an offer of this side that is being exchanged. @type {AbortController | undefined} */
  #exchange;
  /** Of the attempts to offer the session anew. @type {AbortController | undefined} */
  #renewal;

  /**
   * @param {Inviter | Invitation} session SIP.js's
   * @param {() => void} forget
   * @param {string} peer
   * @param {string} offer
   * @param {boolean} own whether this side calls
   */
  constructor(session, forget, peer, offer, own) {
    super();
    this.#sip = session;
    this.#forget = forget;
    this.#own = own;
    this.id = session.id;
    this.peer = peer;
    this.offer = own ? "" : offer;
    if (own) this.#first = offer;
    session.delegate = {
      onBye: (bye) => {
        this.reason = textOf(bye.request.getHeader("Reason")) || "hung up";
        bye.accept();
      },
      onCancel: () => {
        this.reason = "canceled";
      },
    };
    session.stateChange.addListener((state) => {
      if (state === SessionState.Terminated) queueMicrotask(() => this.#end(this.reason));
    });
  }

  /** What SIP.js asks for descriptions. */
  _descriptions = {
    close() {},
    sendDtmf: () => false,
    /** @param {string} contentType */
    hasDescription: (contentType) => contentType.toLowerCase().startsWith(sdpType),
    getDescription: async () => ({ contentType: sdpType, body: this.#stamp(await this.#describe()) }),
    /** @param {string} sdp */
    setDescription: (sdp) => this.#take(sdp),
    // An offer that came to nothing is followed by another.
    rollbackDescription: async () => {},
  };

  get #established() {
    return this.#sip.state === SessionState.Established;
  }

  async #describe() {
    if (!this.#established) return this.#first;
    const session = this.#session;
    if (!session) throw new MsrpError("There is no session in this call that could go on: give it to keep.");
    const { signal } = this.#exchange ?? {};
    if (!this.#asked) return (await session.createOffer({ signal })).sdp;
    const { sdp } = await session.createAnswer();
    this.#asked = false;
    this.#renewal?.abort(); // this is as good
    return sdp;
  }

  /** @param {string} sdp The other side's. */
  async #take(sdp) {
    if (!this.#established) {
      this.#answer = sdp;
      return;
    }
    const session = this.#session;
    if (this.#exchange) {
      // Were it refused, SIP.js would end the call.
      const { signal } = this.#exchange;
      this.#failure = await session?.setRemoteDescription({ type: "answer", sdp }, { signal }).then(() => undefined, (error) => error);
      return;
    }
    if (!session) throw new MsrpError("The conversation does not go on.");
    await session.setRemoteDescription({ type: "offer", sdp });
    this.#asked = true;
    const held = /^a=(sendonly|inactive)\s*$/m.test(sdp);
    if (held !== this.held) {
      this.held = held;
      this.dispatchEvent(new Event("hold"));
    }
  }

  /**
   * A description as it is sent: with the direction of a call that is held, and
   * with another version whenever it is another than before (RFC 3264, section
   * 8).
   * @param {string} sdp
   */
  #stamp(sdp) {
    let text = this.#held ? withDirection(sdp, "sendonly") : sdp;
    const origin = /^(o=\S+ \S+ )(\d+)/m;
    const version = BigInt(origin.exec(text)?.[2] ?? 0);
    text = text.replace(origin, "$10");
    if (this.#said === "") this.#version = version;
    else if (text !== this.#said) this.#version++;
    this.#said = text;
    return text.replace(origin, `$1${this.#version}`);
  }

  /** Whether the call has ended. */
  get over() {
    return this.#over;
  }

  /**
   * Has the call made and waits for its answer.
   * @param {AbortSignal | undefined} signal
   * @returns {Promise<{call: Call, answer: string}>}
   */
  async _invite(signal) {
    const inviter = /** @type {Inviter} */ (this.#sip);
    const abort = () => inviter.cancel().catch(() => {});
    signal?.addEventListener("abort", abort, { once: true });
    try {
      await abortable(asked(this.peer, (requestDelegate) => inviter.invite({ requestDelegate }), this), signal);
      if (!this.#answer) throw new MsrpError(`${this.peer} has answered without a description.`);
      return { call: this, answer: this.#answer };
    } catch (error) {
      this.#end("canceled");
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** @param {string} sdp Accepts an incoming call. */
  answer(sdp) {
    this.#first = sdp;
    // A call that was canceled meanwhile, or that nobody confirms, ends.
    /** @type {Invitation} */ (this.#sip).accept().catch(() => {});
  }

  /**
   * Declines an incoming call.
   * @param {number} code 486 busy, 488 unacceptable, 603 declined
   * @param {string} reason
   */
  refuse(code, reason) {
    if (this.#over) return;
    /** @type {Invitation} */ (this.#sip).reject({ statusCode: code, extraHeaders: [warning(reason)] }).catch(() => {});
    this.#end(reason);
  }

  /**
   * Has the session of the call go on when its path was lost, or has to change:
   * offers it anew when it needs that, and answers when the other side does.
   * @param {MsrpSession} session
   */
  keep(session) {
    this.#session = session;
    session.addEventListener("negotiationneeded", () => this.#renew());
  }

  /** Offers the session again until that is answered, or the other side's offer was. */
  async #renew() {
    this.#renewal?.abort();
    const { signal } = (this.#renewal = new AbortController());
    for (let attempt = 0; !this.#over && !signal.aborted; attempt++) {
      try {
        if (attempt > 0) await backOff(attempt, signal);
        await abortable(this.#offerAgain(), signal);
        return;
      } catch (error) {
        const { connectionState } = this.#session ?? {};
        if (error instanceof MsrpError && error.code === 481) return this.bye(`${this.peer} has ended the conversation`);
        if (connectionState === "closed" || connectionState === "failed") return;
      }
    }
  }

  /** @param {MsrpError} error The WebSocket is gone: only a call that was answered goes on. */
  _disconnected(error) {
    if (!this.#established) this._lose(error);
  }

  /** Only now the other side can find this one, with a new offer. */
  _reconnected() {
    if (this.#session) this.#renew();
  }

  /**
   * Holds the call, or goes on with it: a call that is held takes nothing of the
   * other side.
   * @param {boolean} [held]
   * @returns {Promise<void>}
   */
  async hold(held = true) {
    const was = this.#held;
    this.#held = held;
    try {
      await this.#offerAgain();
    } catch (error) {
      this.#held = was;
      throw error;
    }
  }

  /** Offers the session again; where both sides do at the same time, once more. */
  async #offerAgain() {
    for (;;) {
      try {
        return await this.#reinvite();
      } catch (error) {
        if (this.#over || !(error instanceof MsrpError) || error.code !== 491) throw error;
        // RFC 3261, section 14.1: other times on both sides.
        await new Promise((resolve) => setTimeout(resolve, this.#own ? 2100 + Math.random() * 1900 : Math.random() * 2000));
      }
    }
  }

  async #reinvite() {
    if (this.#exchange) throw refusal(491, "", this.peer);
    this.#exchange = new AbortController();
    this.#failure = undefined;
    try {
      await asked(this.peer, (requestDelegate) => this.#sip.invite({ requestDelegate }), this);
      if (this.#failure) throw this.#failure;
    } finally {
      this.#exchange = undefined;
    }
  }

  /** @param {string} [reason] Ends the call. */
  bye(reason = "") {
    if (this.#over) return;
    const session = this.#sip;
    const extraHeaders = [`Reason: SIP ;cause=200 ;text=${quote(reason)}`];
    // Before it was answered it is canceled or refused.
    const ended = this.#established ? session.bye({ requestOptions: { extraHeaders } }) : session.dispose();
    ended.catch(() => {}); // the other side is gone already
    this.#end(reason);
  }

  /** @param {MsrpError} error Ends the call with its server. */
  _lose(error) {
    this.bye(error.kind === "closed" ? "closed" : error.message);
  }

  /** @param {string} reason */
  #end(reason) {
    if (this.#over) return;
    this.#over = true;
    this.#exchange?.abort();
    this.#renewal?.abort();
    this.reason = reason;
    this.#forget();
    this.dispatchEvent(new Event("bye"));
  }
}

/**
 * @param {string} sdp
 * @param {string} direction of its messages
 */
function withDirection(sdp, direction) {
  return sdp.replace(/^m=message (?!0 )[^]*?(?=^m=|$(?![^]))/gm, (media) => `${media.replace(/^a=(sendrecv|sendonly|recvonly|inactive)\r?\n/gm, "")}a=${direction}\r\n`);
}
