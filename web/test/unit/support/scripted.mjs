// A core whose answers a test writes itself: the real rpc.js, with a worker at
// its other end that only clones and transfers, as the border to one does.

import { Core } from "../../../rpc.js";
import { Queue } from "./queue.mjs";

class ScriptedWorker {
  onmessage = null;
  onerror = null;
  terminated = 0;
  /** The requests that were not taken yet. */
  requests = new Queue();

  constructor(url, options) {
    Object.assign(this, { url, options });
  }

  postMessage(message, transfer = []) {
    this.requests.push(structuredClone(message, { transfer }));
  }

  terminate() {
    this.terminated++;
  }

  /** Says something to the page. */
  say(message) {
    this.onmessage({ data: structuredClone(message) });
  }

  /** The next request, which must be for that operation. */
  async request(op) {
    const request = await this.requests.next();
    if (request.op !== op) throw new Error(`the page asks for ${op}, as the test has it, but here for ${request.op}`);
    return request;
  }

  /** Waits for a request and answers it. */
  async serve(op, result = null) {
    const request = await this.request(op);
    this.say({ id: request.id, result });
    return request;
  }

  /** Waits for a request and answers it with an error. */
  async refuse(op, error) {
    const request = await this.request(op);
    this.say({ id: request.id, error });
    return request;
  }
}

/**
 * Has scripted workers made instead of real ones, for one test.
 * @returns {Queue} what is made, as it is made
 */
export function scriptWorkers(t) {
  const made = new Queue();
  const { Worker } = globalThis;
  globalThis.Worker = class extends ScriptedWorker {
    constructor(...args) {
      super(...args);
      made.push(this);
    }
  };
  t.after(() => (globalThis.Worker = Worker));
  return made;
}

/** A running core and the scripted worker behind it. */
export async function scriptedCore(t) {
  const made = scriptWorkers(t);
  const starting = Core.start({ worker: true });
  const worker = await made.next();
  await worker.requests.next(); // the one that names the wasm
  worker.say({ ready: true });
  return { core: await starting, worker };
}
