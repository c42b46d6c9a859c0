/**
 * Signalling by SIP over a WebSocket (RFC 7118) for the sessions of webmsrp.
 *
 * @example
 * const sip = await Sip.connect("wss://sip.example.com/ws", { name: "sip:alice@example.com", password });
 * const session = client.createSession();
 * const { sdp } = await session.createOffer();
 * const { call, answer } = await sip.call("bob", sdp);
 * await session.setRemoteDescription({ type: "answer", sdp: answer });
 * call.keep(session);
 */

import type { MsrpCredentials, MsrpError, MsrpSession } from "../../webmsrp.js";

export interface SipOptions {
  /** The own address, such as sip:alice@example.com. */
  name: string;
  /** That of the credentials. Default: the user of name. */
  username?: string;
  password?: string;
  /** Asked for credentials, which may last for a short time, whenever it connects. */
  credentials?: () => MsrpCredentials | Promise<MsrpCredentials>;
  /** What others see. */
  displayName?: string;
  /** false for who only calls. Default: true. */
  register?: boolean;
  /**
   * Whether a connection that was lost is replaced by another, and for how many
   * milliseconds that is tried. Default: for 2 minutes.
   */
  reconnect?: boolean | { timeout?: number };
  /** Gives up connecting. */
  signal?: AbortSignal;
}

/** A user at a SIP server. */
export class Sip extends EventTarget {
  private constructor();
  /**
   * Connects to the WebSocket of a SIP server and registers there. Rejects with
   * code 401 for a wrong password, 403 for the address of somebody else, and
   * without a code where there is no server.
   */
  static connect(url: string | URL, options: SipOptions): Promise<Sip>;
  readonly name: string;
  /** "reconnecting" while the connection is lost: calls that were answered go on after it. */
  readonly connectionState: "connecting" | "connected" | "reconnecting" | "closed";
  /**
   * Calls a SIP address, or a user of the same server, with an offer, however long
   * the other side rings. Rejects with code 401 wrong password, 404 nobody of that
   * name is here, 408 no answer, 415 and 488 not acceptable, 480 not to be
   * reached, 486 busy, 603 declined, or any other that SIP has.
   */
  call(to: string, sdp: string, options?: { signal?: AbortSignal }): Promise<{ call: Call; answer: string }>;
  /** Sends a short message outside of any call (RFC 3428). Resolves when a server or the other side has taken it. */
  message(to: string, body: string, options?: { contentType?: string; signal?: AbortSignal }): Promise<void>;
  /** Resolves when the registration or the connection has ended, with the reason unless it was close(). */
  readonly closed: Promise<MsrpError | undefined>;
  /** Ends the calls and the registration. */
  close(): void;
  addEventListener<K extends keyof SipEventMap>(type: K, listener: (this: Sip, event: SipEventMap[K]) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
}

export interface SipEventMap {
  incoming: IncomingCallEvent;
  message: SipMessageEvent;
  connectionstatechange: Event;
  close: Event;
}

/** A call came in: answer or refuse its call. Where nobody listens it is refused as busy. */
export class IncomingCallEvent extends Event {
  private constructor();
  readonly call: Call;
}

/** A message outside of any call came in. */
export class SipMessageEvent extends Event {
  private constructor();
  /** The SIP address of the sender, as the server passes it on. */
  readonly from: string;
  readonly contentType: string;
  readonly body: string;
}

/** A call: exchanges of descriptions and their end. */
export class Call extends EventTarget {
  private constructor();
  readonly id: string;
  /** The address of the other side. */
  readonly peer: string;
  /** That of an incoming call, "" else. */
  readonly offer: string;
  /** Whether the call has ended. */
  readonly over: boolean;
  /** Why, after the event "bye": "hung up" where the other side does not say. */
  readonly reason: string;
  /** Whether the other side holds the call. The event "hold" follows each change. */
  readonly held: boolean;
  /** Accepts an incoming call. */
  answer(sdp: string): void;
  /** Declines an incoming call: 486 busy, 488 unacceptable, 603 declined. */
  refuse(code: number, reason: string): void;
  /**
   * Has the session of the call go on when its path was lost or has to change:
   * offers it anew when it needs that, and answers when the other side does.
   */
  keep(session: MsrpSession): void;
  /**
   * Holds the call, for which it must be kept, or goes on with it: a call that is
   * held takes nothing of the other side.
   */
  hold(held?: boolean): Promise<void>;
  /** Ends the call. */
  bye(reason?: string): void;
  addEventListener<K extends keyof CallEventMap>(type: K, listener: (this: Call, event: CallEventMap[K]) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
}

export interface CallEventMap {
  bye: Event;
  hold: Event;
}
