// The page's side of the protocol core: requests with answers, and events.

import { MsrpError } from "./errors.js";
import { wasmIntegrity } from "./integrity.js";

/** @typedef {(event: any) => void} Listener */

/** A running core, in a worker or on this thread. */
export class Core {
  /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void}>} */
  #waiting = new Map();
  /** @type {Map<string, Listener>} */
  #listeners = new Map();
  #latest = 0;
  /** @type {MsrpError | undefined} */
  #ended;
  /** @type {(request: object, transfer: Transferable[]) => void} */
  #send = () => {};
  /** @type {Worker | undefined} */
  #worker;
  /** Ends what would go on without a worker that is terminated. */
  #stop = () => {};
  #watching = new AbortController();
  /** How many clients use it. */
  users = 0;

  /**
   * @param {{wasmURL?: string, worker?: boolean}} options with worker undefined
   *   a worker where there may be one
   * @returns {Promise<Core>}
   */
  static async start({ wasmURL, worker }) {
    const core = new Core();
    const refused = worker === false ? "" : await core.#startWorker(wasmURL);
    if (refused === undefined) return core;
    if (worker) throw core.#fail(refused);
    if (refused) console.warn(`webmsrp: the protocol runs on the page's own thread: ${refused}`);
    await core.#startHere(wasmURL);
    return core;
  }

  /**
   * @param {string | undefined} wasmURL
   * @returns {Promise<string | undefined>} why there can be no worker
   */
  async #startWorker(wasmURL) {
    const life = `webmsrp ${crypto.getRandomValues(new Uint32Array(4)).join(" ")}`;
    /** @type {Worker} */
    let worker;
    let giveBack = () => {};
    try {
      [worker, giveBack] = newWorker();
    } catch (error) {
      return `its worker was refused: ${error instanceof Error ? error.message : error}`;
    }
    const refused = await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => {
        if (data.ready) {
          this.#worker = worker;
          if (data.held) this.#watch(life);
          resolve(undefined);
        } else if (data.exited === undefined) this.#receive(data);
        else if (this.#worker) this.#crash(data.exited);
        else reject(this.#fail(data.exited));
      };
      worker.onerror = (event) => {
        event.preventDefault?.();
        if (this.#worker) this.#crash(event.message || "an error in the worker");
        else resolve(`its worker was refused or cannot be loaded${event.message ? `: ${event.message}` : ""}`);
      };
      worker.postMessage({ wasmURL, integrity: wasmIntegrity, life });
    }).finally(() => {
      giveBack();
      if (!this.#worker) worker.terminate();
    });
    this.#send = (request, transfer) => worker.postMessage(request, transfer);
    return refused;
  }

  /**
   * Waits for the lock that the worker holds: nothing else tells of the end of
   * one that the browser has stopped.
   * @param {string} life
   */
  #watch(life) {
    navigator.locks.request(life, { signal: this.#watching.signal }, () => this.#crash("the browser has ended its worker")).catch(() => {});
  }

  /** @param {string | undefined} wasmURL */
  async #startHere(wasmURL) {
    try {
      const { startCore } = await importHost();
      const { handle, end } = await startCore({ wasmURL: wasmURL ?? new URL("./msrp.wasm", import.meta.url).href, integrity: wasmIntegrity }, {
        // Never from within a call of the page's own, as from a worker.
        post: (message) => queueMicrotask(() => this.#receive(message)),
        exited: (why) => this.#crash(why),
      });
      this.#send = (request) => handle(request);
      this.#stop = end;
    } catch (error) {
      throw this.#fail(error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {any} message */
  #receive(message) {
    if (message.event) {
      const [kind, number] = targetOf(message);
      this.#listeners.get(kind + number)?.(message);
      return;
    }
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.error) waiting?.reject(MsrpError.from(message.error));
    else waiting?.resolve(message.result);
  }

  /**
   * @param {string} why The core did not start.
   * @returns {MsrpError}
   */
  #fail(why) {
    const error = new MsrpError(`The protocol core cannot be loaded: ${why}`);
    this.#end(error);
    return error;
  }

  /** @param {string} why The core is gone. */
  #crash(why) {
    this.#end(new MsrpError(`The protocol core stopped: ${why}`));
  }

  /** @param {MsrpError} error Ends everything that waits. */
  #end(error) {
    if (this.#ended) return;
    this.#ended = error;
    this.#watching.abort();
    this.#worker?.terminate();
    this.#stop();
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
    this.#waiting.clear();
    for (const listener of [...this.#listeners.values()]) listener({ event: "coreended", error: this.#ended });
    this.#listeners.clear();
  }

  get ended() {
    return this.#ended !== undefined;
  }

  /** @param {MsrpError} error Stops the core. Whoever still reads a message gets the error. */
  stop(error) {
    this.#end(error);
  }

  /** A number that nothing else has: for clients, sessions and messages. */
  number() {
    return ++this.#latest;
  }

  /**
   * @param {string} op
   * @param {Record<string, any>} fields
   * @param {Transferable[]} [transfer]
   * @returns {Promise<any>}
   */
  call(op, fields, transfer = []) {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = this.number();
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      try {
        this.#send({ id, op, ...fields }, transfer);
      } catch (error) {
        this.#waiting.delete(id);
        reject(this.#ended ?? error);
      }
    });
  }

  /**
   * Delivers the events of one object, until listener is undefined.
   * @param {"client" | "session" | "message"} kind
   * @param {number} number
   * @param {Listener | undefined} listener
   */
  listen(kind, number, listener) {
    if (listener) this.#listeners.set(kind + number, listener);
    else this.#listeners.delete(kind + number);
  }
}

/**
 * @param {any} event
 * @returns {[string, number]}
 */
function targetOf(event) {
  if (event.message !== undefined) return ["message", event.message];
  if (event.session !== undefined) return ["session", event.session];
  return ["client", event.client];
}

/**
 * The URL of another file of the build, unknown to bundlers.
 * @param {string} name
 */
const beside = (name) => import.meta.url.replace(/[^/]*$/, name);

async function importHost() {
  try {
    return await import("./host.js");
  } catch (error) {
    // Firefox goes on to refuse, under that name, what it could not load once.
    const other = `${beside("host.js")}?${Date.now()}`;
    /** @type {Promise<typeof import("./host.js")>} */
    const again = import(/* @vite-ignore */ /* webpackIgnore: true */ other);
    return again.catch(() => {
      throw error;
    });
  }
}

/**
 * A module worker, through a Blob where the script lies on another origin:
 * browsers refuse those otherwise.
 * @returns {[worker: Worker, giveBack: () => void]} and what to call once it runs
 */
function newWorker() {
  // In these words bundlers find both files, the worker only once. webpack makes
  // up an address for the module itself: that of the core tells where they are.
  if (new URL("./msrp.wasm", import.meta.url).origin === location.origin) return [new Worker(new URL("./worker.js", import.meta.url), { type: "module" }), () => {}];
  const blob = URL.createObjectURL(new Blob([`import ${JSON.stringify(beside("worker.js"))};`], { type: "text/javascript" }));
  const giveBack = () => URL.revokeObjectURL(blob);
  try {
    return [new Worker(blob, { type: "module" }), giveBack];
  } catch (error) {
    giveBack();
    throw error;
  }
}

/** @type {Map<string, Promise<Core>>} */
const cores = new Map();

/**
 * The core for these options, shared by all clients.
 * @param {{wasmURL?: string, worker?: boolean}} options
 */
export async function acquireCore(options) {
  const key = `${options.worker} ${options.wasmURL ?? ""}`;
  for (;;) {
    const starting = cores.get(key) ?? Core.start(options);
    cores.set(key, starting);
    /** @type {Core | undefined} */
    let core;
    try {
      core = await starting;
    } finally {
      // One that did not start or has ended makes room for the next.
      if (core?.ended !== false && cores.get(key) === starting) cores.delete(key);
    }
    if (core.ended) continue;
    core.users++;
    return core;
  }
}

/**
 * Gives a core back. The last user stops it.
 * @param {Core} core
 * @param {MsrpError} error what ended its use
 */
export function releaseCore(core, error) {
  if (--core.users > 0) return;
  core.stop(error);
  for (const [key, starting] of cores) {
    starting.then((c) => {
      if (c === core && cores.get(key) === starting) cores.delete(key);
    }, () => {}); // acquireCore tells who waits for it
  }
}
