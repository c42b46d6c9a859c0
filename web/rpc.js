// The page's side of the protocol core: requests with answers, and events.

import { MsrpError } from "./errors.js";

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
  /** How many clients use it. */
  users = 0;

  /**
   * @param {{wasmURL?: string, worker: boolean}} options
   * @returns {Promise<Core>}
   */
  static async start({ wasmURL, worker }) {
    const core = new Core();
    if (worker) await core.#startWorker(wasmURL);
    else await core.#startHere(wasmURL);
    return core;
  }

  /** @param {string | undefined} wasmURL */
  async #startWorker(wasmURL) {
    const worker = newWorker(new URL("./worker.js", import.meta.url));
    this.#worker = worker;
    await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => {
        if (data.ready) resolve(undefined);
        else if (data.exited) {
          this.#crash(data.exited);
          reject(this.#ended);
        } else this.#receive(data);
      };
      worker.onerror = (event) => {
        event.preventDefault?.();
        this.#crash(event.message || "the worker cannot be loaded");
        reject(this.#ended);
      };
      worker.postMessage({ wasmURL });
    });
    this.#send = (request, transfer) => worker.postMessage(request, transfer);
  }

  /** @param {string | undefined} wasmURL */
  async #startHere(wasmURL) {
    const { startCore } = await import("./host.js");
    try {
      const handle = await startCore(wasmURL ?? new URL("./msrp.wasm", import.meta.url).href, {
        // Never from within a call of the page's own, as from a worker.
        post: (message) => queueMicrotask(() => this.#receive(message)),
        exited: (why) => this.#crash(why),
      });
      this.#send = (request) => handle(request);
    } catch (error) {
      this.#crash(`cannot load the protocol core: ${error instanceof Error ? error.message : error}`);
      throw this.#ended;
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

  /** @param {string} why The core is gone. */
  #crash(why) {
    this.#end(new MsrpError(`The protocol core stopped: ${why}`));
  }

  /** @param {MsrpError} error Ends everything that waits. */
  #end(error) {
    if (this.#ended) return;
    this.#ended = error;
    this.#worker?.terminate();
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
        reject(error);
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
 * A module worker, through a Blob where the script lies on another origin:
 * browsers refuse those otherwise.
 * @param {URL} url
 */
function newWorker(url) {
  if (url.origin === location.origin) return new Worker(url, { type: "module" });
  const blob = URL.createObjectURL(new Blob([`import ${JSON.stringify(url.href)};`], { type: "text/javascript" }));
  try {
    return new Worker(blob, { type: "module" });
  } finally {
    // The worker has begun to load it by then.
    setTimeout(() => URL.revokeObjectURL(blob), 10_000);
  }
}

/** @type {Map<string, Promise<Core>>} */
const cores = new Map();

/**
 * The core for these options, shared by all clients.
 * @param {{wasmURL?: string, worker: boolean}} options
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
