// What a user of the package may write and what not, for the compiler: nothing
// of this file ever runs. It imports the package by its name, as they do.

import {
  MsrpClient,
  MsrpComposingEvent,
  MsrpError,
  MsrpFileOffer,
  MsrpFileRequest,
  MsrpFileTransfer,
  MsrpIncomingFile,
  MsrpIncomingMessage,
  MsrpMessageEvent,
  MsrpOutgoingMessage,
  MsrpSession,
} from "webmsrp";
import type {
  MsrpBody,
  MsrpClientEventMap,
  MsrpConnectOptions,
  MsrpCredentials,
  MsrpDescription,
  MsrpDisposition,
  MsrpSendOptions,
  MsrpSessionEventMap,
  MsrpSessionOptions,
  MsrpWrapper,
} from "webmsrp";

/** Compiles only if both types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_: Same<A, B>): void {}

declare const signal: AbortSignal;
declare function signalling(offer: MsrpDescription): Promise<MsrpDescription>;

export async function connecting(): Promise<MsrpClient> {
  await MsrpClient.connect("wss://relay.example.com/msrp");
  await MsrpClient.connect(new URL("wss://relay.example.com/msrp"), {});
  await MsrpClient.connect("/msrp", { username: "alice", password: "secret" });
  await MsrpClient.connect("/msrp", { credentials: () => ({ username: "alice", password: "secret" }) });
  const fetched = async (): Promise<MsrpCredentials> => (await fetch("/credentials")).json();
  const options: MsrpConnectOptions = { credentials: fetched, wasmURL: new URL("https://cdn.example.com/msrp.wasm"), worker: false, signal };
  const client = await MsrpClient.connect("/msrp", options);
  // @ts-expect-error There is no client without a URL.
  await MsrpClient.connect();
  // @ts-expect-error Clients are made by connect.
  new MsrpClient();
  // @ts-expect-error Credentials are both.
  await MsrpClient.connect("/msrp", { credentials: () => ({ username: "alice" }) });
  // @ts-expect-error A misspelt option is no option.
  await MsrpClient.connect("/msrp", { user: "alice" });
  // @ts-expect-error It is a promise that one has to wait for.
  MsrpClient.connect("/msrp").createSession();
  return client;
}

export async function clients(client: MsrpClient): Promise<void> {
  same<typeof client.url, string>(true);
  same<typeof client.connectionState, "connecting" | "connected" | "reconnecting" | "closed">(true);
  // @ts-expect-error States are told, not set.
  client.connectionState = "closed";
  // @ts-expect-error There is no such state.
  if (client.connectionState === "open") return;
  client.addEventListener("connectionstatechange", function (event) {
    same<typeof event, Event>(true);
    same<typeof this, MsrpClient>(true);
  });
  same<keyof MsrpClientEventMap, "connectionstatechange">(true);
  const reason = await client.closed;
  same<typeof reason, MsrpError | undefined>(true);
  // @ts-expect-error It may have been close().
  reason.message;
  await client.close();
}

export function sessions(client: MsrpClient): MsrpSession {
  const options: MsrpSessionOptions = { acceptTypes: ["text/*"], acceptWrappedTypes: ["text/plain"], maxSize: 1e6, direct: false, secure: true, displayName: "Alice" };
  client.createSession(options);
  // @ts-expect-error A list, even of one.
  client.createSession({ acceptTypes: "text/plain" });
  // @ts-expect-error Octets are a number.
  client.createSession({ maxSize: "1 MB" });
  // @ts-expect-error Sessions are made by clients.
  new MsrpSession(client);
  return client.createSession();
}

export async function negotiating(session: MsrpSession): Promise<void> {
  const offer = await session.createOffer({ signal });
  same<typeof offer, MsrpDescription>(true);
  await session.setRemoteDescription(await signalling(offer));
  await session.setRemoteDescription({ type: "offer", sdp: "v=0" }, { signal });
  await signalling(await session.createAnswer());
  // @ts-expect-error The type says what to do with it.
  await session.setRemoteDescription({ sdp: "v=0" });
  // @ts-expect-error There are offers and answers.
  await session.setRemoteDescription({ type: "pranswer", sdp: "v=0" });
  // @ts-expect-error A description is not its SDP.
  await session.setRemoteDescription(offer.sdp);
  await session.probe({ signal });
  same<typeof session.connectionState, "new" | "connecting" | "connected" | "disconnected" | "failed" | "closed">(true);
  same<typeof session.bufferedAmount, number>(true);
  same<Awaited<typeof session.closed>, MsrpError | undefined>(true);
  await session.close();
}

export async function sending(session: MsrpSession, file: File, stream: ReadableStream<Uint8Array>): Promise<void> {
  for (const body of ["text", file, new Blob(), new ArrayBuffer(1), new Uint8Array(1), new DataView(new ArrayBuffer(1)), stream, file.stream(), stream.pipeThrough(new CompressionStream("gzip") as ReadableWritablePair<Uint8Array, Uint8Array>)] satisfies MsrpBody[]) {
    session.send(body);
  }
  const options: MsrpSendOptions = { contentType: "text/html", disposition: "render", successReport: false, failureReport: "partial", signal };
  const message = session.send("<p>", options);
  same<typeof message, MsrpOutgoingMessage>(true);
  same<typeof message.messageId, string>(true);
  same<typeof message.contentType, string>(true);
  same<typeof message.size, number | null>(true);
  same<typeof message.acknowledged, number>(true);
  same<typeof message.state, "sending" | "sent" | "delivered" | "failed">(true);
  same<typeof message.error, Error | undefined>(true);
  message.addEventListener("progress", (event) => same<typeof event, Event>(true));
  session.send("To all", { wrapper: { from: { name: "Alice", uri: "sip:alice@example.com" }, to: "sip:room@example.com", subject: "Lunch" }, notify: ["display"] });
  // @ts-expect-error Nobody else is told of what servers do.
  session.send("x", { notify: ["processing"] });
  session.setComposing(true, { contentType: "text/plain" });
  session.setComposing(false);
  same<ReturnType<typeof session.markDisplayed>, boolean>(true);
  await session.setNickname("Alice", { signal });
  await message.sent;
  await message.delivered;
  message.abort();
  message.abort(new Error("changed my mind"));

  const transfer = session.sendFile(file, { ...options, name: "other.txt" });
  same<typeof transfer, MsrpFileTransfer>(true);
  same<typeof transfer.name, string>(true);
  const general: MsrpOutgoingMessage = transfer;
  session.sendFile(new Blob());
  transfer.pause();
  transfer.resume();
  await transfer.verified;
  session.sendFile(file, { offer: true, hash: false, resume: transfer, offset: 5, signal });

  // @ts-expect-error Objects are for the sender to write down.
  session.send({ text: "Hi" });
  // @ts-expect-error So are numbers.
  session.send(5);
  // @ts-expect-error Streams are of octets.
  session.send(new ReadableStream<string>());
  // @ts-expect-error A file is no text.
  session.sendFile("a.txt");
  // @ts-expect-error There are three.
  session.send("x", { failureReport: "never" });
  // @ts-expect-error Only files have names.
  session.send("x", { name: "a.txt" });
  // @ts-expect-error The message is not a promise: one of its two is meant.
  message.then(() => {});
  // @ts-expect-error Messages are made by sessions.
  new MsrpOutgoingMessage();
  // @ts-expect-error What arrived is told, not set.
  general.acknowledged = 5;
}

declare const handle: FileSystemFileHandle;

export function receiving(session: MsrpSession): void {
  session.addEventListener("message", async function (event) {
    same<typeof event, MsrpMessageEvent>(true);
    same<typeof this, MsrpSession>(true);
    const { message } = event;
    same<typeof message, MsrpIncomingMessage>(true);
    same<typeof message.messageId, string>(true);
    same<typeof message.contentType, string>(true);
    same<typeof message.disposition, string>(true);
    same<typeof message.fileName, string | null>(true);
    same<typeof message.size, number | null>(true);
    same<typeof message.from, string>(true);
    same<typeof message.to, string>(true);
    same<typeof message.wrapper, MsrpWrapper | null>(true);
    same<typeof message.bodyUsed, boolean>(true);
    same<typeof message.body, ReadableStream<Uint8Array>>(true);
    const text: string = await message.text();
    const blob: Blob = await message.blob();
    const buffer: ArrayBuffer = await message.arrayBuffer();
    await message.save(handle, { signal }).verified;
    for await (const chunk of message.body) same<typeof chunk, Uint8Array<ArrayBufferLike>>(true);
    // @ts-expect-error The peer need not have said.
    message.size.toFixed();
    // @ts-expect-error Text is still to come.
    message.text().length;
    return [text, blob, buffer];
  });
  session.addEventListener("message", ({ message }) => void message.text(), { once: true });
  session.addEventListener("connectionstatechange", () => {});
  session.addEventListener("fileoffer", async ({ offer }) => {
    same<typeof offer, MsrpFileOffer>(true);
    if ((offer.size ?? Infinity) > 1e9) return offer.reject();
    const file = offer.accept(handle);
    same<typeof file, MsrpIncomingFile>(true);
    file.addEventListener("progress", () => file.received);
    file.pause();
    file.resume();
    offer.accept(new WritableStream<Uint8Array>());
    offer.accept(file, { signal });
    // @ts-expect-error That is no place.
    offer.accept("/tmp/file");
    await file.verified;
    const blob: Blob | null = file.blob;
    file.abort(blob);
  });
  session.addEventListener("filerequest", ({ request }) => {
    same<typeof request, MsrpFileRequest>(true);
    same<typeof request.name, string | null>(true);
    if (request.hashes["sha-1"]) same<ReturnType<typeof request.send>, MsrpFileTransfer>(true);
    request.send(new File([], "a"), { hash: false, signal });
    // @ts-expect-error Where it begins the peer has said.
    request.send(new Blob(), { offset: 5 });
    request.reject();
  });
  const wanted = session.receiveFile({ name: "a.txt", size: 5, hashes: { "sha-1": "00" } }, handle, { offset: 5, signal });
  same<typeof wanted, MsrpIncomingFile>(true);
  session.receiveFile(wanted);
  // @ts-expect-error A name alone is no description.
  session.receiveFile("a.txt");
  session.addEventListener("composing", (event) => {
    same<typeof event, MsrpComposingEvent>(true);
    same<typeof event.active, boolean>(true);
    same<typeof event.lastActive, Date | null>(true);
  });
  session.addEventListener("notification", ({ messageId, disposition, status }) => {
    same<typeof messageId, string>(true);
    same<typeof disposition, MsrpDisposition>(true);
    // @ts-expect-error There is no such status.
    return status === "read";
  });
  session.addEventListener("trace", ({ outgoing, method, code, text }) => `${outgoing ? ">" : "<"} ${method ?? code} ${text}`);
  same<keyof MsrpSessionEventMap, "connectionstatechange" | "negotiationneeded" | "message" | "fileoffer" | "filerequest" | "composing" | "notification" | "trace">(true);
  // As with every EventTarget, for events that others dispatch.
  session.addEventListener("custom", { handleEvent() {} });
  // @ts-expect-error That is no listener.
  session.addEventListener("message", "onmessage");
  // @ts-expect-error Messages come from sessions.
  new MsrpIncomingMessage();
  // @ts-expect-error And so do their events.
  new MsrpMessageEvent("message");
}

export function errors(error: unknown): string {
  if (!(error instanceof MsrpError)) return String(error);
  const plain: Error = error;
  same<typeof error.code, number | undefined>(true);
  same<typeof error.messageId, string | undefined>(true);
  switch (error.kind) {
    case "status":
      return String(error.code);
    case "lost":
    case "closed":
    case "aborted":
    case "type":
    case "size":
    case "storage":
    case "mismatch":
    case "failed":
      return plain.message;
    default:
      // Compiles only if those are all.
      return error.kind satisfies never;
  }
}

/** What signalling of one's own needs, as that of the rendezvous. */
export function signallingErrors(): MsrpError[] {
  // @ts-expect-error There is a list of kinds.
  new MsrpError("Words.", { kind: "other" });
  // @ts-expect-error Somebody has to read it.
  new MsrpError();
  return [
    new MsrpError("Nobody answers."),
    new MsrpError("Nobody answers.", { code: 408, kind: "status", messageId: "m1", cause: new Error("why") }),
    MsrpError.status(404),
    MsrpError.status(486, "in a meeting", { cause: "why" }),
  ];
}
