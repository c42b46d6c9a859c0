import { abortable } from "./abort.js";
import { MsrpError } from "./errors.js";
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
  /** @type {"connecting" | "connected" | "closed"} */
  #state = "connecting";
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
    /** @type {Promise<MsrpError | undefined>} */
    this.closed = new Promise((resolve) => (this.#settleClosed = resolve));
    core.listen("client", this.#number, (event) => this.#end(event.error instanceof Error ? event.error : event.error && MsrpError.from(event.error)));
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
      const { username, password } = (await abortable((async () => options.credentials?.())(), signal)) ?? options;
      await abortable(core.call("connect", { client: client.#number, url: target.href, secure: client.#secure, chunkSize: options.chunkSize ?? 0, username, password }), signal);
    } catch (error) {
      await client.close();
      throw error;
    }
    client.#setState("connected");
    return client;
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
    }, async () => (await this.#options.credentials?.()) ?? {});
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
    for (const session of this.#sessions) session._end(error ?? closed());
    this.#core.listen("client", this.#number, undefined);
    this.#setState("closed");
    this.#settleClosed(error);
    if (error) {
      this.#core.call("disconnect", { client: this.#number }).catch(() => {});
      releaseCore(this.#core, error);
    }
  }

  /** @param {"connected" | "closed"} state */
  #setState(state) {
    if (this.#state === "closed") return;
    this.#state = state;
    this.dispatchEvent(new Event("connectionstatechange"));
  }
}

function closed() {
  return new MsrpError("The connection is closed. Connect again.", { kind: "closed" });
}
