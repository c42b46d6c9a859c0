// <msrp-chat>: a chat in one element.
//
//   <script type="module" src="https://chat.example.com/widget.js"></script>
//   <msrp-chat url="wss://chat.example.com/msrp" name="alice" peer="support"></msrp-chat>

import { LitElement, html, nothing } from "lit";
import { repeat } from "lit/directives/repeat.js";
import { Chat } from "./chat.js";
import { styles } from "./widget-style.js";

/** Every word the widget says, to be replaced for another language. */
export const strings = {
  joining: "Connecting…",
  ready: "Nobody is here yet",
  registered: "Registered as",
  readyHint: "Call someone, or wait to be called.",
  calling: "Calling…",
  talking: "Connected",
  waiting: "Waiting for the other side…",
  reconnecting: "Reconnecting…",
  offline: "Not connected",
  retry: "Try again",
  hangUp: "Hang up",
  compose: "Write a message",
  send: "Send",
  attach: "Send a file",
  drop: "Drop to send",
  stop: "Stop",
  again: "Send again",
  save: "Save",
  picture: "Picture",
  sending: "sending",
  sent: "sent",
  delivered: "delivered",
  failed: "not delivered",
  receiving: "receiving",
  conversation: "Conversation",
};

export class MsrpChatElement extends LitElement {
  static styles = styles;

  static properties = {
    url: {},
    credentialsUrl: { attribute: "credentials-url" },
    signalling: {},
    name: {},
    peer: {},
    username: {},
    password: {},
    dropping: { state: true },
  };

  /** @type {Chat | undefined} */
  #chat;
  #scheduled = false;
  #atEnd = true;
  #depth = 0;

  constructor() {
    super();
    this.url = "";
    this.credentialsUrl = "";
    this.signalling = "";
    this.name = "";
    this.peer = "";
    this.username = "";
    this.password = "";
    this.dropping = false;
  }

  connectedCallback() {
    super.connectedCallback();
    this.#reconcile();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    // A move within the page is not the end.
    queueMicrotask(() => {
      if (!this.isConnected) this.#stop();
    });
  }

  /** @param {Map<string, unknown>} changed */
  updated(changed) {
    if (["url", "credentialsUrl", "signalling", "name", "username", "password"].some((p) => changed.has(p))) this.#reconcile();
    else if (changed.has("peer") && this.peer && this.#chat?.status === "ready") this.call(this.peer);
    const list = this.renderRoot.querySelector(".list");
    if (this.#atEnd && list) list.scrollTop = list.scrollHeight;
  }

  #configuration = "";

  /** Starts, restarts or stops the chat as the attributes have it. */
  #reconcile() {
    const configuration = JSON.stringify([this.url, this.credentialsUrl, this.signalling, this.name, this.username, this.password]);
    if (configuration === this.#configuration && this.#chat) return;
    this.#stop();
    this.#configuration = configuration;
    if (!this.isConnected || !this.url || !this.name) return;
    const url = new URL(this.url, location.href);
    const chat = (this.#chat = new Chat({
      url,
      rendezvousURL: new URL(this.signalling || "rendezvous", url),
      name: this.name,
      credentials: () => this.#credentials(),
    }));
    let told = "";
    chat.addEventListener("change", () => {
      this.#schedule();
      if (chat.status !== told) {
        const before = told;
        told = chat.status;
        this.dispatchEvent(new CustomEvent("statuschange", { bubbles: true, composed: true, detail: { status: chat.status, problem: chat.problem } }));
        if (before === "joining" && told === "ready" && this.peer) this.call(this.peer);
      }
    });
    chat.join();
  }

  #stop() {
    const chat = this.#chat;
    this.#chat = undefined;
    chat?.close();
  }

  /** @returns {Promise<{username: string, password: string}>} */
  async #credentials() {
    if (!this.credentialsUrl) return { username: this.username || this.name, password: this.password };
    const url = new URL(this.credentialsUrl, location.href);
    url.searchParams.set("name", this.name);
    const response = await fetch(url).catch((cause) => {
      throw new Error(`${url.host} cannot be reached: is the server running?`, { cause });
    });
    if (!response.ok) throw new Error(`There are no credentials at ${url.href} (${response.status} ${response.statusText}).`);
    return response.json();
  }

  /** Where the chat stands: "offline", "joining", "ready", "calling" or "talking". */
  get status() {
    return this.#chat?.status ?? "offline";
  }

  /** @param {string} peer Calls someone. */
  call(peer) {
    this.#chat?.call(peer.trim());
  }

  hangUp() {
    this.#chat?.hangUp();
  }

  /** @param {string} text */
  send(text) {
    this.#chat?.sendText(text);
  }

  /** @param {Iterable<File>} files */
  sendFiles(files) {
    for (const file of files) this.#chat?.sendFile(file);
  }

  /** Draws at most once a frame, however fast octets arrive. */
  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.requestUpdate();
    });
  }

  render() {
    const chat = this.#chat;
    const status = chat?.status ?? "offline";
    const who = chat?.peer ?? "";
    const talking = status === "talking";
    return html`
      <section
        part="root"
        class="root"
        @dragenter=${this.#drag}
        @dragover=${this.#drag}
        @dragleave=${this.#drag}
        @drop=${this.#drop}
        @paste=${this.#paste}
      >
        <header part="header">
          <span class="avatar ${talking && !chat?.reconnecting ? "on" : ""}" aria-hidden="true">${initial(who)}</span>
          <div class="who">
            <strong>${who || strings.ready}</strong>
            <span class="status" role="status">${this.#statusText(status)}</span>
          </div>
          ${talking || status === "calling" ? html`<button class="quiet" @click=${this.hangUp}>${strings.hangUp}</button>` : nothing}
        </header>
        ${chat?.problem
          ? html`<p class="problem" role="alert">
              <span>${chat.problem}</span>
              ${status === "offline" ? html`<button class="quiet" @click=${() => chat.join()}>${strings.retry}</button>` : nothing}
            </p>`
          : nothing}
        <div class="list" role="log" aria-label=${strings.conversation} tabindex="0" @scroll=${this.#scrolled}>
          ${chat && !chat.entries.length && status === "ready" ? html`<p class="hint">${strings.readyHint}</p>` : nothing}
          ${repeat(chat?.entries ?? [], (entry) => entry.id, (entry) => this.#entry(entry))}
        </div>
        <form part="composer" class="composer" @submit=${this.#submit}>
          <label class="attach" title=${strings.attach}>
            <input type="file" multiple ?disabled=${!talking} @change=${this.#picked} aria-label=${strings.attach} />
            <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M16.5 6v11a4.5 4.5 0 0 1-9 0V5.5a3 3 0 0 1 6 0V16a1.5 1.5 0 0 1-3 0V7" /></svg>
          </label>
          <textarea
            rows="1"
            aria-label=${strings.compose}
            placeholder=${strings.compose}
            ?disabled=${!talking}
            @keydown=${this.#key}
            @input=${grow}
          ></textarea>
          <button class="send" ?disabled=${!talking} aria-label=${strings.send} title=${strings.send}>
            <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M4 12l16-8-6 16-3-6z" /></svg>
          </button>
        </form>
        ${this.dropping && talking ? html`<div class="drop" aria-hidden="true">${strings.drop}</div>` : nothing}
      </section>
    `;
  }

  /** @param {string} status */
  #statusText(status) {
    if (this.#chat?.reconnecting) return strings.reconnecting;
    if (status === "talking") return this.#chat?.connected ? strings.talking : strings.waiting;
    if (status === "ready") return `${strings.registered} ${this.name}`;
    return strings[/** @type {keyof typeof strings} */ (status)];
  }

  /** @param {import("./chat.js").Entry} entry */
  #entry(entry) {
    if (entry.direction === "note") return html`<p class="note">${entry.text}</p>`;
    return html`
      <div class="entry ${entry.direction} ${entry.state}" part="message message-${entry.direction}">
        <div class="bubble ${entry.kind}">${this.#content(entry)}</div>
        <div class="meta">
          <time datetime=${entry.time.toISOString()}>${clock.format(entry.time)}</time>
          ${entry.direction === "out" ? tick(entry.state) : nothing}
          ${entry.error ? html`<span class="error" role="alert">${entry.error}</span>` : nothing}
          ${entry.again ? html`<button type="button" class="quiet" @click=${entry.again}>${strings.again}</button>` : nothing}
        </div>
      </div>
    `;
  }

  /** @param {import("./chat.js").Entry} entry */
  #content(entry) {
    // Text enters the page as text, never as HTML: Lit does that by itself.
    if (entry.kind === "text") return html`<span dir="auto">${entry.text}</span>`;
    const busy = entry.state === "sending" || entry.state === "receiving";
    const label = entry.name || entry.type || strings.picture;
    return html`
      ${entry.kind === "image" && entry.url ? html`<a href=${entry.url} target="_blank" rel="noopener"><img src=${entry.url} alt=${label} @load=${this.#loaded} /></a>` : nothing}
      <div class="file">
        <span class="filename" dir="auto">${label}</span>
        <span class="size">${sizeText(entry)}</span>
        ${busy && entry.abort ? html`<button type="button" class="quiet" @click=${entry.abort}>${strings.stop}</button>` : nothing}
        ${entry.direction === "in" && entry.url ? html`<a class="quiet" href=${entry.url} download=${entry.name || "file"}>${strings.save}</a>` : nothing}
      </div>
      ${busy ? html`<progress max=${entry.size || nothing} value=${entry.size ? entry.done : nothing} aria-label=${label}></progress>` : nothing}
    `;
  }

  #loaded() {
    const list = this.renderRoot.querySelector(".list");
    if (this.#atEnd && list) list.scrollTop = list.scrollHeight;
  }

  /** @param {Event} event */
  #scrolled(event) {
    const list = /** @type {HTMLElement} */ (event.currentTarget);
    this.#atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  }

  /** @param {Event} event */
  #submit(event) {
    event.preventDefault();
    const area = /** @type {HTMLTextAreaElement} */ (this.renderRoot.querySelector("textarea"));
    if (!area.value.trim()) return;
    this.#atEnd = true;
    this.send(area.value);
    area.value = "";
    area.style.height = "";
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) this.#submit(event);
  }

  /** @param {Event} event */
  #picked(event) {
    const input = /** @type {HTMLInputElement} */ (event.target);
    this.sendFiles(input.files ?? []);
    input.value = "";
  }

  /** @param {DragEvent} event */
  #drag(event) {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    // Children send events of their own.
    if (event.type === "dragenter") this.#depth++;
    if (event.type === "dragleave") this.#depth--;
    this.dropping = this.#depth > 0;
  }

  /** @param {DragEvent} event */
  #drop(event) {
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    this.#depth = 0;
    this.dropping = false;
    this.sendFiles(event.dataTransfer.files);
  }

  /** @param {ClipboardEvent} event */
  #paste(event) {
    if (!event.clipboardData?.files.length) return;
    event.preventDefault();
    this.sendFiles(event.clipboardData.files);
  }
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

/** @param {string} name */
function initial(name) {
  return [...name.trim()][0]?.toUpperCase() ?? "·";
}

/** @param {string} state */
function tick(state) {
  const mark = { sending: "○", sent: "✓", delivered: "✓✓", failed: "!" }[state] ?? "";
  return html`<span class="tick ${state}" role="img" aria-label=${strings[/** @type {keyof typeof strings} */ (state)]} title=${strings[/** @type {keyof typeof strings} */ (state)]}>${mark}</span>`;
}

/** @param {import("./chat.js").Entry} entry */
function sizeText(entry) {
  const busy = entry.state === "sending" || entry.state === "receiving";
  if (busy && entry.size) return `${Math.floor((100 * entry.done) / entry.size)} %`;
  return octets(entry.size ?? entry.done);
}

/** @param {number} n */
function octets(n) {
  const units = ["B", "kB", "MB", "GB"];
  let unit = 0;
  while (n >= 1000 && unit < units.length - 1) {
    n /= 1000;
    unit++;
  }
  return `${n.toLocaleString(undefined, { maximumFractionDigits: unit ? 1 : 0 })} ${units[unit]}`;
}

/** @param {Event} event Makes the composer as high as its text, up to a limit. */
function grow(event) {
  const area = /** @type {HTMLTextAreaElement} */ (event.target);
  area.style.height = "auto";
  area.style.height = `${Math.min(area.scrollHeight, 160)}px`;
}

if (!customElements.get("msrp-chat")) customElements.define("msrp-chat", MsrpChatElement);
