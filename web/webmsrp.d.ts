/**
 * MSRP in the browser (RFC 4975, 4976, 7977): sessions with any MSRP endpoint
 * over a WebSocket to a relay. The protocol runs as WebAssembly in a worker.
 *
 * @example
 * const client = await MsrpClient.connect("wss://relay.example.com/msrp", { username, password });
 * const session = client.createSession();
 * const offer = await session.createOffer();      // give it to your signalling
 * await session.setRemoteDescription(answer);     // and its answer to the session
 * session.addEventListener("message", async (e) => console.log(await e.message.text()));
 * await session.send("Hello!").delivered;
 */

/** What every promise of this module rejects with, unless a signal's own reason. */
export class MsrpError extends Error {
  readonly name: "MsrpError";
  /**
   * The status code of the peer, a relay, or signalling: 401 wrong password,
   * 403 not allowed, 404 nobody of that name, 408 no answer, 413 not wanted,
   * 415 type not accepted, 481 no such session. Undefined for what has none,
   * such as a lost connection.
   */
  readonly code?: number;
  /**
   * "status" for a code; "lost" where the connection broke and nobody knows
   * what arrived; "closed" after close(); "aborted" after abort(); "type" and
   * "size" for what the peer does not take.
   */
  readonly kind: "status" | "lost" | "closed" | "aborted" | "type" | "size" | "failed";
  /** The message that failed. */
  readonly messageId?: string;
  /** For signalling, to reject with the same kind of error. */
  constructor(message: string, details?: { code?: number; kind?: MsrpError["kind"]; messageId?: string; cause?: unknown });
  /** The error for a code, with a text for people. comment is the other side's own. */
  static status(code: number, comment?: string, details?: { messageId?: string; cause?: unknown }): MsrpError;
}

export interface MsrpCredentials {
  username: string;
  password: string;
}

export interface MsrpConnectOptions {
  username?: string;
  password?: string;
  /** Asked when connecting and before each session for credentials that may last for a short time. */
  credentials?: () => MsrpCredentials | Promise<MsrpCredentials>;
  /** Where msrp.wasm lies, of the same build as this module. Default: beside it. */
  wasmURL?: string | URL;
  /**
   * Whether the protocol runs in a worker or on the page's own thread. Default:
   * in a worker, or on the page's thread where a worker is refused.
   */
  worker?: boolean;
  /** The most octets of body in one SEND, unless the relay grants less. Default: what it grants, else 8 KiB. */
  chunkSize?: number;
  /** Gives up connecting. */
  signal?: AbortSignal;
}

/** One WebSocket to one proxy or relay. It carries any number of sessions. */
export class MsrpClient extends EventTarget {
  private constructor();
  /**
   * Opens the WebSocket and authenticates. Rejects with kind "failed" where
   * there is no relay at the URL or it does not let this page in, with code 401
   * for a wrong username or password.
   */
  static connect(url: string | URL, options?: MsrpConnectOptions): Promise<MsrpClient>;
  readonly url: string;
  readonly connectionState: "connecting" | "connected" | "closed";
  createSession(options?: MsrpSessionOptions): MsrpSession;
  /** Resolves when the connection has ended, with the reason unless it was close(). */
  readonly closed: Promise<MsrpError | undefined>;
  /** Ends the connection and every session on it. */
  close(): Promise<void>;
  addEventListener<K extends keyof MsrpClientEventMap>(type: K, listener: (this: MsrpClient, event: MsrpClientEventMap[K]) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
}

export interface MsrpClientEventMap {
  connectionstatechange: Event;
}

export interface MsrpSessionOptions {
  /** Media types taken from the peer, with * and type/* as wildcards. Default: all. */
  acceptTypes?: string[];
  /** Media types taken only inside containers such as message/cpim. */
  acceptWrappedTypes?: string[];
  /** The largest message taken, in octets. Default: no limit. */
  maxSize?: number;
  /** false keeps from asking for direct mode, in which the relay stands in for this endpoint. Default: true. */
  direct?: boolean;
  /** Whether to offer MSRP over TLS. Default: true on wss, false on ws. An answer follows the offer. */
  secure?: boolean;
  /** The username of the SDP's o= line. */
  displayName?: string;
}

export interface MsrpDescription {
  type: "offer" | "answer";
  sdp: string;
}

/** One conversation with a peer, set up by SDP offer and answer. */
export class MsrpSession extends EventTarget {
  private constructor();
  /**
   * "connected" once messages flow. "failed" where the peer, a relay or the
   * connection ended it, "closed" after close().
   */
  readonly connectionState: "new" | "connecting" | "connected" | "failed" | "closed";
  createOffer(options?: { signal?: AbortSignal }): Promise<MsrpDescription>;
  /** Answers the offer that setRemoteDescription took. */
  createAnswer(options?: { signal?: AbortSignal }): Promise<MsrpDescription>;
  setRemoteDescription(description: MsrpDescription, options?: { signal?: AbortSignal }): Promise<void>;
  /**
   * Starts to send a message. What is sent before the session is connected
   * waits for it.
   */
  send(body: MsrpBody, options?: MsrpSendOptions): MsrpOutgoingMessage;
  /** Sends a file with its name and type. */
  sendFile(file: File | Blob, options?: MsrpSendOptions & { name?: string }): MsrpFileTransfer;
  /** Octets given to send that the next hop has not acknowledged. */
  readonly bufferedAmount: number;
  /** Asks the next hop whether the session still stands. */
  probe(options?: { signal?: AbortSignal }): Promise<void>;
  /** Resolves when the session is over, with the reason unless it was close(). */
  readonly closed: Promise<MsrpError | undefined>;
  /** Ends the session on this side. Signalling must tell the peer. */
  close(): Promise<void>;
  addEventListener<K extends keyof MsrpSessionEventMap>(type: K, listener: (this: MsrpSession, event: MsrpSessionEventMap[K]) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
}

export interface MsrpSessionEventMap {
  connectionstatechange: Event;
  message: MsrpMessageEvent;
}

export type MsrpBody = string | Blob | ArrayBuffer | ArrayBufferView | ReadableStream<Uint8Array>;

export interface MsrpSendOptions {
  /** Default: text/plain for strings, a Blob's own type, else application/octet-stream. */
  contentType?: string;
  /** The Content-Disposition of the message. */
  disposition?: string;
  /** Whether the peer is asked to confirm the arrival. Default: true. */
  successReport?: boolean;
  /** Which failures are wanted. Default: all. */
  failureReport?: "yes" | "no" | "partial";
  /** Aborts the message. */
  signal?: AbortSignal;
}

/** A message that is being sent. */
export class MsrpOutgoingMessage extends EventTarget {
  protected constructor();
  readonly messageId: string;
  readonly contentType: string;
  /** Octets, or null for a stream. */
  readonly size: number | null;
  /** Octets that the next hop has acknowledged. A "progress" event follows each change. */
  readonly acknowledged: number;
  readonly state: "sending" | "sent" | "delivered" | "failed";
  readonly error?: Error;
  /** Resolves when the next hop has it all. */
  readonly sent: Promise<void>;
  /** Resolves when the peer has confirmed it all, for which successReport must not be false. */
  readonly delivered: Promise<void>;
  abort(reason?: unknown): void;
}

/** A file that is being sent. */
export class MsrpFileTransfer extends MsrpOutgoingMessage {
  readonly name: string;
}

export class MsrpMessageEvent extends Event {
  private constructor();
  readonly message: MsrpIncomingMessage;
}

/** A message that has arrived or is arriving, to be read once, like a Response. */
export class MsrpIncomingMessage {
  private constructor();
  readonly messageId: string;
  readonly contentType: string;
  /** The Content-Disposition, "" where there is none. */
  readonly disposition: string;
  /** The file name of the Content-Disposition without any path, or null. */
  readonly fileName: string | null;
  /** Octets, or null where the peer has not said. */
  readonly size: number | null;
  /** The URIs of the peer and of this side. */
  readonly from: string;
  readonly to: string;
  readonly bodyUsed: boolean;
  /** Canceling it tells the peer to stop. While it is not read, the peer is held up. */
  readonly body: ReadableStream<Uint8Array>;
  text(): Promise<string>;
  arrayBuffer(): Promise<ArrayBuffer>;
  blob(): Promise<Blob>;
}
