// A chat without any looks: it registers a name, calls and is called, and keeps
// the conversation. The widget shows it; tests and other pages may use it too.

import { MsrpClient, MsrpError } from "./webmsrp.js";
import { Rendezvous } from "./signalling/rendezvous.js";

/**
 * @typedef {object} Entry A line of the conversation.
 * @property {string} id
 * @property {"in" | "out" | "note"} direction a note is what the chat itself says
 * @property {"text" | "image" | "file"} kind
 * @property {Date} time
 * @property {string} text
 * @property {string} name of the file
 * @property {string} type of the content
 * @property {number | null} size in octets
 * @property {number} done octets that have arrived or were acknowledged
 * @property {string} url of a picture or file that is here
 * @property {"receiving" | "received" | "sending" | "sent" | "delivered" | "failed"} state
 * @property {string} error
 * @property {(() => void) | undefined} abort
 * @property {(() => void) | undefined} again sends once more what may have arrived
 */

/** @typedef {"offline" | "joining" | "ready" | "calling" | "talking"} Status */

/**
 * @typedef {object} ChatOptions
 * @property {string | URL} url of the relay's WebSocket
 * @property {string | URL} rendezvousURL
 * @property {string} name
 * @property {() => Promise<{username: string, password: string}>} credentials
 * @property {boolean | {timeout?: number}} [reconnect] as that of MsrpClient.connect
 */

/** Pictures that every browser shows. */
const pictures = /^image\/(png|jpeg|gif|webp|avif|svg\+xml|bmp)$/i;

/** Event: "change", after anything has changed. */
export class Chat extends EventTarget {
  /** @type {ChatOptions} */
  #options;
  /** @type {MsrpClient | undefined} */
  #client;
  /** @type {Rendezvous | undefined} */
  #rendezvous;
  /** @type {import("./webmsrp.js").MsrpSession | undefined} */
  #session;
  /** @type {import("./signalling/rendezvous.js").Call | undefined} */
  #call;
  /** Of the attempt to join. @type {AbortController | undefined} */
  #joining;
  /** Of the call that is being set up. @type {AbortController | undefined} */
  #calling;
  #latest = 0;
  #closed = false;

  /** @type {Status} */
  status = "offline";
  peer = "";
  /** What went wrong last, "" if nothing did. */
  problem = "";
  /** @type {Entry[]} */
  entries = [];

  /** @param {ChatOptions} options */
  constructor(options) {
    super();
    this.#options = options;
  }

  get name() {
    return this.#options.name;
  }

  /** Registers the name. Failures end in status "offline" with a problem. */
  async join() {
    if (this.status !== "offline" || this.#closed) return;
    const { signal } = (this.#joining = new AbortController());
    this.#set({ status: "joining", problem: "" });
    try {
      const { name, credentials, reconnect } = this.#options;
      const client = await MsrpClient.connect(this.#options.url, { credentials, reconnect, signal });
      if (signal.aborted) return await client.close();
      this.#client = client;
      client.addEventListener("connectionstatechange", () => this.#changed());
      client.closed.then((error) => {
        if (this.#client === client && error) this.#leave(`${error.message}`);
      });
      const rendezvous = await Rendezvous.connect(this.#options.rendezvousURL, { name, credentials, reconnect, signal });
      if (signal.aborted) return rendezvous.close();
      this.#rendezvous = rendezvous;
      rendezvous.addEventListener("connectionstatechange", () => this.#changed());
      rendezvous.addEventListener("incoming", (event) => this.#answer(/** @type {any} */ (event).call));
      rendezvous.closed.then((error) => {
        if (this.#rendezvous === rendezvous && error) this.#leave(error.message);
      });
      this.#set({ status: "ready" });
    } catch (error) {
      if (!signal.aborted) this.#leave(textOf(error));
    }
  }

  /** @param {string} problem */
  #leave(problem) {
    const [client, rendezvous] = [this.#client, this.#rendezvous];
    this.#client = this.#rendezvous = undefined;
    this.#joining?.abort();
    this.#over();
    rendezvous?.close();
    client?.close();
    this.#set({ status: "offline", problem });
  }

  /** @param {string} peer Calls someone; what was talked of before goes. */
  async call(peer) {
    if (!this.#client || !this.#rendezvous || !peer) return;
    this.hangUp();
    this.#set({ status: "calling", peer, problem: "", entries: [] });
    const { signal } = (this.#calling = new AbortController());
    const session = this.#begin(this.#client);
    /** @type {import("./signalling/rendezvous.js").Call | undefined} */
    let call;
    try {
      const offer = await session.createOffer({ signal });
      const answered = await this.#rendezvous.call(peer, offer.sdp, { signal });
      call = answered.call;
      await session.setRemoteDescription({ type: "answer", sdp: answered.answer });
      signal.throwIfAborted();
      this.#talk(session, call);
    } catch (error) {
      session.close();
      call?.bye(signal.aborted ? "hung up" : textOf(error));
      if (signal.aborted) return;
      this.#set({ status: this.#rendezvous ? "ready" : "offline", problem: textOf(error) });
    }
  }

  /** @param {import("./signalling/rendezvous.js").Call} call */
  async #answer(call) {
    if (!this.#client || this.status !== "ready") {
      call.refuse(486, `${this.name} is in another conversation`);
      return;
    }
    this.#set({ status: "calling", peer: call.peer, problem: "", entries: [] });
    const { signal } = (this.#calling = new AbortController());
    const session = this.#begin(this.#client);
    try {
      await session.setRemoteDescription({ type: "offer", sdp: call.offer });
      const answer = await session.createAnswer({ signal });
      signal.throwIfAborted();
      call.answer(answer.sdp);
      this.#talk(session, call);
    } catch (error) {
      session.close();
      if (signal.aborted) return call.refuse(603, "declined");
      call.refuse(488, textOf(error));
      this.#set({ status: this.#rendezvous ? "ready" : "offline", problem: textOf(error) });
    }
  }

  /** @param {MsrpClient} client */
  #begin(client) {
    const session = client.createSession({ displayName: this.name });
    // Now already: the peer may be faster than the answer is taken.
    session.addEventListener("message", (event) => this.#receive(event.message));
    return session;
  }

  /**
   * @param {import("./webmsrp.js").MsrpSession} session
   * @param {import("./signalling/rendezvous.js").Call} call
   */
  #talk(session, call) {
    this.#session = session;
    this.#call = call;
    call.keep(session);
    call.addEventListener("bye", () => {
      if (this.#call !== call) return;
      this.#note(call.reason === "hung up" ? `${call.peer} ended the conversation.` : sentence(`The conversation ended: ${call.reason || `${call.peer} left`}`));
      this.#over();
    });
    session.addEventListener("connectionstatechange", () => this.#changed());
    session.closed.then((error) => {
      if (this.#session !== session) return;
      if (error) this.#note(error.message);
      this.#over();
    });
    this.#set({ status: "talking" });
    if (call.over) call.dispatchEvent(new Event("bye"));
  }

  /** Whether messages flow already. */
  get connected() {
    return this.#session?.connectionState === "connected";
  }

  /** Whether a connection was lost and may come back. */
  get reconnecting() {
    return this.#client?.connectionState === "reconnecting" || this.#rendezvous?.connectionState === "reconnecting" || this.#session?.connectionState === "disconnected";
  }

  /** Ends the call under way. */
  hangUp() {
    const call = this.#call;
    this.#call = undefined;
    call?.bye("hung up");
    this.#over();
  }

  #over() {
    const [session, call, calling] = [this.#session, this.#call, this.#calling];
    this.#session = this.#call = this.#calling = undefined;
    calling?.abort();
    session?.close();
    call?.bye("the conversation is over");
    if (this.status === "talking" || this.status === "calling") this.#set({ status: this.#rendezvous ? "ready" : "offline" });
  }

  /** @param {string} text */
  sendText(text) {
    this.#send({ kind: "text", text }, (session, again) => session.send(text, { again }));
  }

  /** @param {File} file */
  sendFile(file) {
    if (!this.#session) return;
    const isPicture = pictures.test(file.type);
    this.#send({ kind: isPicture ? "image" : "file", name: file.name, type: file.type, url: URL.createObjectURL(file) }, (session, again) => session.sendFile(file, { again }));
  }

  /**
   * @param {Partial<Entry>} entry
   * @param {(session: import("./webmsrp.js").MsrpSession, again?: import("./webmsrp.js").MsrpOutgoingMessage) => import("./webmsrp.js").MsrpOutgoingMessage} send
   */
  #send(entry, send) {
    const session = this.#session;
    if (!session) return;
    const added = this.#add({ direction: "out", state: "sending", ...entry });
    const begin = (/** @type {import("./webmsrp.js").MsrpOutgoingMessage | undefined} */ before) => {
      const message = send(session, before);
      added.size = message.size;
      const update = () => {
        const { state, error } = message;
        added.state = state;
        added.done = message.acknowledged;
        added.error = error ? textOf(error) : "";
        added.abort = state === "sending" ? () => message.abort() : undefined;
        added.again = error instanceof MsrpError && error.kind === "lost" && this.#session === session ? () => begin(message) : undefined;
        this.#changed();
      };
      message.addEventListener("progress", update);
      update();
    };
    begin(undefined);
  }

  /** @param {import("./webmsrp.js").MsrpIncomingMessage} message */
  async #receive(message) {
    const type = message.contentType.split(";")[0].trim().toLowerCase();
    const isText = type.startsWith("text/") && !message.fileName;
    const entry = this.#add({
      direction: "in",
      kind: isText ? "text" : pictures.test(type) ? "image" : "file",
      name: message.fileName ?? "",
      type,
      size: message.size,
      state: "receiving",
    });
    const reader = message.body.getReader();
    entry.abort = () => {
      reader.cancel();
      entry.state = "failed";
      entry.error = "Stopped.";
      entry.abort = undefined;
      this.#changed();
    };
    /** @type {Uint8Array<ArrayBuffer>[]} */
    const chunks = [];
    try {
      for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
        const chunk = /** @type {Uint8Array<ArrayBuffer>} */ (value);
        chunks.push(chunk);
        entry.done += chunk.length;
        this.#changed();
      }
      if (entry.state === "failed") return;
      entry.size = entry.done;
      const blob = new Blob(chunks, { type });
      if (isText) entry.text = await blob.text();
      else entry.url = URL.createObjectURL(blob);
      entry.state = "received";
    } catch (error) {
      entry.state = "failed";
      entry.error = textOf(error);
    }
    entry.abort = undefined;
    this.#changed();
  }

  /** @param {string} text */
  #note(text) {
    this.#add({ direction: "note", kind: "text", text, state: "received" });
  }

  /**
   * @param {Partial<Entry>} entry
   * @returns {Entry}
   */
  #add(entry) {
    const added = /** @type {Entry} */ ({
      id: String(++this.#latest),
      time: new Date(),
      text: "",
      name: "",
      type: "",
      size: null,
      done: 0,
      url: "",
      error: "",
      abort: undefined,
      again: undefined,
      ...entry,
    });
    this.entries = [...this.entries, added];
    this.#changed();
    return added;
  }

  /** Ends the chat and gives everything back. */
  close() {
    this.#closed = true;
    this.hangUp();
    this.#leave("");
    for (const { url } of this.entries) if (url) URL.revokeObjectURL(url);
  }

  /** @param {Partial<Chat>} values */
  #set(values) {
    if (values.entries) for (const { url } of this.entries) if (url) URL.revokeObjectURL(url);
    Object.assign(this, values);
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** @param {string} text Ends it with a full stop if it has none. */
function sentence(text) {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}

/** @param {unknown} error */
export function textOf(error) {
  return error instanceof MsrpError || error instanceof Error ? error.message : String(error);
}
