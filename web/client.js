import { abortable } from "./abort.js";
import { MsrpError } from "./errors.js";
import { onWake, patienceOf, recover } from "./recovery.js";
import { acquireCore, releaseCore } from "./rpc.js";
import { MsrpSession } from "./session.js";

/** @typedef {import("./webmsrp.d.ts").MsrpConnectOptions} ConnectOptions */

export class MsrpClient extends EventTarget {
  /** @type {import("./rpc.js").Core} */
  #core;
  #number;
  /** @type {ConnectOptions} */
  #options;
  /** @type {Set<MsrpSession>} */
  #sessions = new Set();
  /** @type {"connecting" | "connected" | "reconnecting" | "closed"} */
  #state = "connecting";
  /** For how long a lost connection is tried again, 0 for not at all. */
  #patience;
  /** Why the connection that the core has made is gone already. @type {MsrpError | undefined} */
  #gone;
  /** Ends with the client. */
  #life = new AbortController();
  /** @type {(error: MsrpError | undefined) => void} */
  #settleClosed = () => {};

  /**
   * @param {import("./rpc.js").Core} core
   * @param {string} url
   * @param {ConnectOptions} options
   */
  constructor(core, url, options) {
    super();
    if (core?.number === undefined) throw new TypeError("use MsrpClient.connect");
    this.url = url;
    this.#core = core;
    this.#options = options;
    this.#number = core.number();
    this.#patience = patienceOf(options.reconnect);
    /** @type {Promise<MsrpError | undefined>} */
    this.closed = new Promise((resolve) => (this.#settleClosed = resolve));
    core.listen("client", this.#number, (event) => {
      if (event.event === "lost") this.#lose(MsrpError.from(event.error));
      else this.#end(event.error);
    });
    const stop = onWake(() => this.#state === "connected" && core.call("check", { client: this.#number }).catch(() => {}));
    this.#life.signal.addEventListener("abort", stop);
  }

  /**
   * @param {string | URL} url
   * @param {ConnectOptions} [options]
   */
  static async connect(url, options = {}) {
    const { signal } = options;
    signal?.throwIfAborted();
    const target = new URL(url, location.href);
    if (target.protocol === "http:" || target.protocol === "https:") target.protocol = target.protocol.replace("http", "ws");
    if (target.protocol !== "ws:" && target.protocol !== "wss:") throw new MsrpError(`${target.href} is not a WebSocket URL (ws:// or wss://).`);
    const acquiring = acquireCore({ wasmURL: options.wasmURL && new URL(options.wasmURL, location.href).href, worker: options.worker });
    const core = await abortable(acquiring, signal).catch((error) => {
      acquiring.then((late) => releaseCore(late, closed()), () => {});
      throw error;
    });
    const client = new MsrpClient(core, target.href, options);
    try {
      await client.#open(signal);
    } catch (error) {
      await client.close();
      throw error;
    }
    client.#setState("connected");
    if (client.#gone) client.#lose(client.#gone);
    return client;
  }

  /** @param {AbortSignal | undefined} signal Opens a WebSocket and authenticates. */
  async #open(signal) {
    this.#gone = undefined;
    const { credentials, chunkSize = 0 } = this.#options;
    const { username, password } = (await abortable((async () => credentials?.())(), signal)) ?? this.#options;
    await abortable(this.#core.call("connect", { client: this.#number, url: this.url, secure: this.#secure, chunkSize, username, password }), signal);
  }

  /** @param {MsrpError} error The WebSocket is gone. */
  #lose(error) {
    this.#gone = error;
    if (this.#state !== "connected") return; // whoever opens it looks
    if (this.#patience > 0) this.#recover(error);
    else this.#end(error);
  }

  /** @param {unknown} cause Connects anew, and ends it all if that fails. */
  async #recover(cause) {
    this.#setState("reconnecting");
    const open = async (/** @type {AbortSignal} */ signal) => {
      await this.#open(signal);
      if (this.#gone) throw this.#gone;
    };
    try {
      await recover(open, this.#patience, this.#life.signal);
    } catch (error) {
      const refused = error instanceof MsrpError && error.code ? error : undefined;
      this.#end(refused ?? new MsrpError("The connection was lost and did not come back. Check the network, then connect again; what was not confirmed may or may not have arrived.", { kind: "lost", cause: error ?? cause }));
      return;
    }
    this.#setState("connected");
    for (const session of this.#sessions) session._negotiate();
  }

  /** Resolves once there is a connection. */
  async #connected() {
    while (this.#state === "reconnecting") await new Promise((resolve) => this.addEventListener("connectionstatechange", resolve, { once: true }));
    if (this.#state === "closed") throw closed();
  }

  /** What sessions know of it. */
  get #link() {
    const state = () => this.#state;
    return {
      connected: () => this.#connected(),
      get connectionState() {
        return state();
      },
      patience: this.#patience,
    };
  }

  get connectionState() {
    return this.#state;
  }

  /** Whether sessions offer TLS where they do not say. */
  get #secure() {
    return this.url.startsWith("wss:");
  }

  /** @param {import("./webmsrp.d.ts").MsrpSessionOptions} [options] */
  createSession(options = {}) {
    if (this.#state === "closed") throw closed();
    const session = new MsrpSession(this.#core, this.#number, {
      acceptTypes: options.acceptTypes ?? [],
      acceptWrappedTypes: options.acceptWrappedTypes ?? [],
      maxSize: options.maxSize ?? 0,
      noDirect: options.direct === false,
      secure: options.secure ?? this.#secure,
      displayName: (options.displayName ?? "").replace(/\s+/g, "_"),
    }, async () => (await this.#options.credentials?.()) ?? {}, this.#link);
    this.#sessions.add(session);
    session.closed.then(() => this.#sessions.delete(session));
    return session;
  }

  async close() {
    if (this.#state === "closed") return;
    this.#end(undefined);
    await this.#core.call("disconnect", { client: this.#number }).catch(() => {}); // a core that is gone has no connection
    releaseCore(this.#core, closed());
  }

  /** @param {MsrpError | undefined} error */
  #end(error) {
    if (this.#state === "closed") return;
    this.#life.abort();
    for (const session of this.#sessions) session._end(error ?? closed());
    this.#core.listen("client", this.#number, undefined);
    this.#setState("closed");
    this.#settleClosed(error);
    if (error) {
      this.#core.call("disconnect", { client: this.#number }).catch(() => {});
      releaseCore(this.#core, error);
    }
  }

  /** @param {"connected" | "reconnecting" | "closed"} state */
  #setState(state) {
    if (this.#state === "closed") return;
    this.#state = state;
    this.dispatchEvent(new Event("connectionstatechange"));
  }
}

function closed() {
  return new MsrpError("The connection is closed. Connect again.", { kind: "closed" });
}
