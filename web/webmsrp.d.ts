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
   * 415 type not accepted, 481 no such session, 603 declined. Undefined for what
   * has none, such as a lost connection.
   */
  readonly code?: number;
  /**
   * "status" for a code; "lost" where the connection broke: a message that fails
   * so may have arrived, and can be sent again; "closed" after close(); "aborted"
   * after abort(); "type" and "size" for what the peer does not take; "storage"
   * where a file cannot be written, for want of room or otherwise; "mismatch"
   * where it is not the one that was offered.
   */
  readonly kind: "status" | "lost" | "closed" | "aborted" | "type" | "size" | "storage" | "mismatch" | "failed";
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
  /** Asked for credentials, which may last for a short time, whenever the client connects, and before each offer and answer. */
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
  /**
   * Whether a connection that was lost is replaced by another, and for how many
   * milliseconds that is tried. Default: for 2 minutes.
   */
  reconnect?: boolean | { timeout?: number };
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
  /**
   * "reconnecting" while the connection is lost. "closed" after close(), or where
   * it does not come back.
   */
  readonly connectionState: "connecting" | "connected" | "reconnecting" | "closed";
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
   * "connected" once messages flow, "disconnected" while the path to the peer is
   * lost: what is sent then waits. "failed" where the peer, a relay or the
   * connection ended it, "closed" after close().
   */
  readonly connectionState: "new" | "connecting" | "connected" | "disconnected" | "failed" | "closed";
  /** Makes an offer, in place of one that was not answered. It waits for a connection. */
  createOffer(options?: { signal?: AbortSignal }): Promise<MsrpDescription>;
  /**
   * Answers the offer that setRemoteDescription took, and gives up an offer of
   * this side. Where both sides have made one, the caller ignores the other's.
   */
  createAnswer(options?: { signal?: AbortSignal }): Promise<MsrpDescription>;
  setRemoteDescription(description: MsrpDescription, options?: { signal?: AbortSignal }): Promise<void>;
  /**
   * Starts to send a message. What is sent before the session is connected
   * waits for it.
   */
  send(body: MsrpBody, options?: MsrpSendOptions): MsrpOutgoingMessage;
  /**
   * Sends a file as a message with its name and type, which every peer takes.
   * With offer it is offered by SDP first (RFC 5547), in a session of its own:
   * then the peer is asked, checks what it gets, and can have the rest later.
   */
  sendFile(file: File | Blob, options?: MsrpFileOptions): MsrpFileTransfer;
  /**
   * Asks for a file by SDP (RFC 5547), or for what is missing of one that failed:
   * to be called before createOffer, in a session that is for this file alone. The
   * peer hears of it in "filerequest". destination is as in MsrpFileOffer.accept.
   */
  receiveFile(wanted: MsrpFileSelector | MsrpIncomingFile, destination?: MsrpFileDestination, options?: MsrpReceiveFileOptions): MsrpIncomingFile;
  /** Octets given to send that the next hop has not acknowledged. */
  readonly bufferedAmount: number;
  /**
   * To be called with true for every key of a message that is being written, and
   * with false where it was given up: the peer is told what it has to know (RFC
   * 3994), also that nothing was done for 15 seconds. Sending a message ends it.
   * contentType is what is composed, such as "text/plain" or "audio".
   */
  setComposing(active: boolean, options?: { contentType?: string }): void;
  /**
   * Tells the sender that a message was shown, if that was wanted, and once (RFC
   * 5438). Returns whether it was. Ask the user whether others may know.
   */
  markDisplayed(messageId: string): boolean;
  /**
   * Asks the chat room that the peer is for a nickname, or with "" for none (RFC
   * 7701). Rejects with code 425 where another has it, 424 for one that the room
   * does not take, and 403 where it has none.
   */
  setNickname(name: string, options?: { signal?: AbortSignal }): Promise<void>;
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
  /**
   * Another offer and answer are needed, because the path was lost or the
   * relay's token wears out: signalling has to exchange them. Where nobody listens
   * a session that loses its path fails.
   */
  negotiationneeded: Event;
  message: MsrpMessageEvent;
  /** In setRemoteDescription. createAnswer waits for the decision. Without a listener the file comes as a message. */
  fileoffer: MsrpFileOfferEvent;
  /** In setRemoteDescription. createAnswer waits for the decision, and rejects without a listener. */
  filerequest: MsrpFileRequestEvent;
  composing: MsrpComposingEvent;
  notification: MsrpNotificationEvent;
  /** Of each request and response, from when somebody listens for the first time. */
  trace: MsrpTraceEvent;
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
  /**
   * From whom and to whom the message is, for gateways and chat rooms: puts it
   * into message/cpim (RFC 3862), which the peer must take. The size of the
   * message includes it.
   */
  wrapper?: MsrpWrapperOptions;
  /**
   * What "notification" events are wanted of the message (RFC 5438). They are
   * asked for in a wrapper.
   */
  notify?: ("delivery" | "display")[];
  /**
   * A message that failed with kind "lost", to be sent again with the same body:
   * a peer that remembers what it has received does not show it twice.
   */
  again?: MsrpOutgoingMessage;
  /** Aborts the message. */
  signal?: AbortSignal;
}

/** Somebody in a wrapper. */
export interface MsrpAddress {
  /** "" for none. */
  name: string;
  uri: string;
}

export interface MsrpWrapperOptions {
  /** URIs, or URIs with names. Default: anonymous. In a chat room, to is the room or one participant. */
  from?: string | MsrpAddress;
  to?: string | MsrpAddress | (string | MsrpAddress)[];
  cc?: string | MsrpAddress | (string | MsrpAddress)[];
  subject?: string;
  /** When it was written. Default: now. */
  dateTime?: Date;
}

/** What the wrapper of a message says: so the sender, or the chat room. */
export interface MsrpWrapper {
  readonly from: MsrpAddress;
  readonly to: readonly MsrpAddress[];
  readonly cc: readonly MsrpAddress[];
  readonly dateTime: Date | null;
  /** "" for none. */
  readonly subject: string;
  /** All headers in their order, as they are written. */
  readonly headers: readonly { namespace: string; name: string; value: string }[];
}

/** What a notification is about: whether a message arrived, has been passed on by a server, or was shown. */
export type MsrpDisposition = "delivery" | "processing" | "display";

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

export interface MsrpFileOptions extends MsrpSendOptions {
  /** What the peer is told. Default: the File's own. */
  name?: string;
  /** Offers the file by SDP (RFC 5547): to be called before createOffer, in a session that is for this file alone. */
  offer?: boolean;
  /** Whether an offer has the file's hashes, by SHA-1 and SHA-256: createOffer reads all of it for them. Default: true. */
  hash?: boolean;
  /** A transfer of the same file that failed: only the rest of it is offered. */
  resume?: MsrpFileTransfer;
  /**
   * How many octets of the file the peer has, as it says: only the rest is
   * offered. Default: with resume what has certainly arrived, else 0.
   */
  offset?: number;
}

/** A file that is being sent. */
export class MsrpFileTransfer extends MsrpOutgoingMessage {
  readonly name: string;
  /** Octets of the file that go in front of what is sent: size and acknowledged are without them. */
  readonly offset: number;
  /** Stops to send, or to begin, for up to some minutes: peers give up a message that does not go on for 9. */
  pause(): void;
  resume(): void;
  /** The same as delivered: all octets have arrived. Whether they are the right ones the receiver finds out, and does not tell. */
  readonly verified: Promise<void>;
}

/**
 * Where a file goes: to a file that the user has picked with showSaveFilePicker,
 * to one of the origin's own, or to a stream. Octets are written as they come.
 *
 * @example
 * const folder = await navigator.storage.getDirectory();
 * const handle = await folder.getFileHandle(crypto.randomUUID(), { create: true });
 * await message.save(handle).verified;
 * const file = await handle.getFile();
 */
export type MsrpFileDestination = FileSystemFileHandle | WritableStream<Uint8Array>;

/** Pairs of hexadecimal digits with colons between them. */
export type MsrpFileHashes = { "sha-1"?: string; "sha-256"?: string };

/** A file that the peer offers. */
export class MsrpFileOffer {
  private constructor();
  /**
   * As a file can be called on any system: without directories, short, without
   * characters that cannot be seen. null where nothing is left of what the peer
   * says. The ending is the peer's choice, as the type is.
   */
  readonly name: string | null;
  readonly type: string;
  readonly size: number | null;
  readonly hashes: MsrpFileHashes;
  /** Octets of the file that are not offered: it is the rest of one that failed. */
  readonly offset: number;
  /**
   * Takes the file to a place, or without one to a Blob. The rest of a file goes
   * to the MsrpIncomingFile that has the beginning, or to a FileSystemFileHandle
   * in which that stands, from when the page was another: createAnswer reads that
   * first. Throws where that is not possible: then reject. signal aborts it. The
   * answer says no where the file has failed by then, for want of room or so.
   */
  accept(destination?: MsrpFileDestination | MsrpIncomingFile, options?: { signal?: AbortSignal }): MsrpIncomingFile;
  /** createAnswer returns a description that says so, and closes the session. */
  reject(): void;
}

export class MsrpFileOfferEvent extends Event {
  private constructor();
  readonly offer: MsrpFileOffer;
}

/** What a file is asked for by: at least one of these, all of which it must have. */
export interface MsrpFileSelector {
  name?: string;
  type?: string;
  size?: number;
  /** By SHA-1, alone or beside SHA-256. */
  hashes?: MsrpFileHashes;
}

export interface MsrpReceiveFileOptions {
  /** How many octets of the file, whose hashes are known, stand in the FileSystemFileHandle, from when the page was another: only the rest is asked for. */
  offset?: number;
  /** Aborts the file. */
  signal?: AbortSignal;
}

/** A file that the peer asks for. */
export class MsrpFileRequest {
  private constructor();
  /** What it is asked for by: null or "" for what it may be. The name is the peer's. */
  readonly name: string | null;
  readonly type: string;
  readonly size: number | null;
  readonly hashes: MsrpFileHashes;
  /** Octets of the file that are not asked for, because they are there already. */
  readonly offset: number;
  /**
   * Sends the file, or what is asked for of it. options are as in sendFile;
   * resume has its hashes. createAnswer rejects where it is another file.
   */
  send(file: File | Blob, options?: Omit<MsrpFileOptions, "offer" | "offset">): MsrpFileTransfer;
  /** createAnswer returns a description that says so, and closes the session. */
  reject(): void;
}

export class MsrpFileRequestEvent extends Event {
  private constructor();
  readonly request: MsrpFileRequest;
}

/** A file that is being received. A "progress" event follows each change. */
export class MsrpIncomingFile extends EventTarget {
  private constructor();
  /** As that of an MsrpFileOffer. */
  readonly name: string | null;
  readonly type: string;
  /** Octets, or null where the peer has not said. */
  readonly size: number | null;
  /** Octets that are here. */
  readonly received: number;
  /**
   * After "failed" what came stays while the client is open, and the rest can be
   * accepted of another offer, unless the error is of kind "storage" or
   * "mismatch" or came of abort. Who does not want that calls abort.
   */
  readonly state: "waiting" | "receiving" | "received" | "failed";
  readonly error?: Error;
  /** The file, once it is received, where no destination was given. */
  readonly blob: Blob | null;
  /**
   * Resolves when all is written, and is what was offered by its size and hash:
   * a file that the user has picked is not touched before. A rejection by abort
   * comes when the destination is free again.
   */
  readonly verified: Promise<void>;
  /** Stops to receive. The peer takes more than 10 seconds of that for the end. */
  pause(): void;
  resume(): void;
  /** Stops the peer, and gives up what is here: a stream is aborted, a file of the origin's own emptied, a picked one left as it was. */
  abort(reason?: unknown): void;
}

export class MsrpMessageEvent extends Event {
  private constructor();
  readonly message: MsrpIncomingMessage;
}

/** The peer began or ended to write, or writes something else. It counts until a message comes, or nothing more is heard. */
export class MsrpComposingEvent extends Event {
  private constructor();
  readonly active: boolean;
  /** What is composed, a media type with or without subtype, or "". */
  readonly contentType: string;
  /** When the peer last did something, if it says so. */
  readonly lastActive: Date | null;
}

/** What became of a message that was sent with notify. */
export class MsrpNotificationEvent extends Event {
  private constructor();
  /** That of the message. */
  readonly messageId: string;
  readonly disposition: MsrpDisposition;
  /** "forbidden" where the recipient does not tell, "error" where nobody knows. */
  readonly status: "delivered" | "failed" | "processed" | "stored" | "displayed" | "forbidden" | "error";
  /** The URI of who got the message, or "". */
  readonly recipient: string;
}

/** A request or response that passed. */
export class MsrpTraceEvent extends Event {
  private constructor();
  /** Whether this side sent it. */
  readonly outgoing: boolean;
  readonly transactionId: string;
  /** "SEND", "REPORT" or "NICKNAME", and null for a response. */
  readonly method: string | null;
  /** The status code of a response, and null for a request. */
  readonly code: number | null;
  /** The length of the body in octets. */
  readonly size: number;
  /** As it went over the wire, of the body at most 1024 octets. */
  readonly text: string;
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
  /** The MSRP URIs of the peer and of this side. */
  readonly from: string;
  readonly to: string;
  /** What the message/cpim around the message said, which is taken off; null where there was none. */
  readonly wrapper: MsrpWrapper | null;
  readonly bodyUsed: boolean;
  /** Canceling it tells the peer to stop. While it is not read, the peer is held up. */
  readonly body: ReadableStream<Uint8Array>;
  /** Writes it where it shall be, past the page. signal aborts it. */
  save(destination?: MsrpFileDestination, options?: { signal?: AbortSignal }): MsrpIncomingFile;
  text(): Promise<string>;
  arrayBuffer(): Promise<ArrayBuffer>;
  blob(): Promise<Blob>;
}
