/**
 * Signalling through the rendezvous of webmsrp serve: people register a name and
 * call each other by it, which exchanges the descriptions of their sessions.
 *
 * @example
 * const rendezvous = await Rendezvous.connect("wss://chat.example.com/rendezvous", { name: "alice", username, password });
 * const offer = await session.createOffer();
 * const { call, answer } = await rendezvous.call("bob", offer.sdp);
 * await session.setRemoteDescription({ type: "answer", sdp: answer });
 * call.keep(session);
 *
 * rendezvous.addEventListener("incoming", async ({ call }) => {
 *   await session.setRemoteDescription({ type: "offer", sdp: call.offer });
 *   call.answer((await session.createAnswer()).sdp);
 *   call.keep(session);
 * });
 */

import type { MsrpCredentials, MsrpError, MsrpSession } from "../../webmsrp.js";

export interface RendezvousOptions {
  /** What others call. A name belongs to whoever registered it last. */
  name: string;
  username?: string;
  password?: string;
  /** Asked for credentials, which may last for a short time, whenever it connects. */
  credentials?: () => MsrpCredentials | Promise<MsrpCredentials>;
  /**
   * Whether a connection that was lost is replaced by another, and for how many
   * milliseconds that is tried. Default: for 2 minutes.
   */
  reconnect?: boolean | { timeout?: number };
  /** Gives up connecting. */
  signal?: AbortSignal;
}

/** A name at a rendezvous. */
export class Rendezvous extends EventTarget {
  private constructor();
  /**
   * Registers a name. Rejects with code 401 for a wrong username or password, 403
   * where the name is somebody else's, without a code where nobody answers.
   */
  static connect(url: string | URL, options: RendezvousOptions): Promise<Rendezvous>;
  /** As the server has registered it. */
  readonly name: string;
  /** "reconnecting" while the connection is lost: calls that were answered go on after it. */
  readonly connectionState: "connecting" | "connected" | "reconnecting" | "closed";
  /**
   * Calls a name with an offer, and waits for the answer. Rejects with code 404
   * where nobody is there, 408 no answer, 486 busy, 488 no such conversation, 603
   * declined, 429 too many calls, 503 where the server is cut off from others.
   */
  call(to: string, sdp: string, options?: { signal?: AbortSignal }): Promise<{ call: Call; answer: string }>;
  /** Resolves when the registration has ended, with the reason unless it was close(). */
  readonly closed: Promise<MsrpError | undefined>;
  /** Gives the name up, and ends its calls. */
  close(): void;
  addEventListener<K extends keyof RendezvousEventMap>(type: K, listener: (this: Rendezvous, event: RendezvousEventMap[K]) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
}

export interface RendezvousEventMap {
  /** Somebody calls: answer or refuse event.call. Where nobody listens they are told "busy". */
  incoming: IncomingCallEvent;
  connectionstatechange: Event;
  /** The registration has ended. */
  close: Event;
}

export class IncomingCallEvent extends Event {
  private constructor();
  readonly call: Call;
}

/** An exchange of descriptions, and what may end it. */
export class Call extends EventTarget {
  private constructor();
  readonly id: string;
  /** The other party's name. */
  readonly peer: string;
  /** The SDP of an incoming call. */
  readonly offer: string;
  /** Accepts an incoming call with the SDP of an answer. */
  answer(sdp: string): void;
  /**
   * Has the session of the call go on after its path was lost, and move when it
   * has to: offers it anew whenever it needs that, and answers when the other
   * side does. To be called once the first answer was given or taken.
   */
  keep(session: MsrpSession): void;
  /** Declines an incoming call: 486 busy, 488 unacceptable, 603 declined. */
  refuse(code: number, reason: string): void;
  /** Ends the call. The reason is for the other party. */
  bye(reason?: string): void;
  /** Whether it has ended. */
  readonly over: boolean;
  /** Why it has ended, "" for no reason. */
  readonly reason: string;
  addEventListener<K extends keyof CallEventMap>(type: K, listener: (this: Call, event: CallEventMap[K]) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
}

export interface CallEventMap {
  /** It has ended, on whichever side. */
  bye: Event;
}
