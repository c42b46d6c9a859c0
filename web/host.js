// Runs the protocol core, in whatever thread this module is loaded.

import { md5 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import "./wasm_exec.js";
import { toSource } from "./sources.js";

/** @typedef {{post: (message: object, transfer: Transferable[]) => void, exited: (why: string) => void}} Page */

/**
 * Loads and starts the core.
 * @param {string} wasmURL
 * @param {Page} page what gets its messages, and learns of its end
 * @returns {Promise<(request: any) => void>} what takes requests
 */
export async function startCore(wasmURL, page) {
  const go = new Go();
  const instance = await load(wasmURL, go.importObject);
  /** @type {(request: any) => void} */
  let handle = () => {};
  await new Promise((ready, failed) => {
    const host = {
      post: (/** @type {object} */ message, /** @type {Transferable[]} */ transfer) => page.post(message, transfer),
      // For AUTH. Go's own would make the program 35 KB larger.
      hash: (/** @type {string} */ algorithm, /** @type {Uint8Array} */ octets) => (algorithm === "MD5" ? md5 : sha256)(octets),
      ready: () => {
        handle = host.handle;
        ready(undefined);
      },
      /** @type {any} */
      handle: undefined,
    };
    // Go reads it at its start, before anything else can run.
    const scope = /** @type {any} */ (globalThis);
    scope.webmsrpHost = host;
    const exited = (/** @type {string} */ why) => {
      failed(new Error(why)); // unless it was ready
      page.exited(why);
    };
    go.run(instance).then(
      () => exited("the protocol core has ended"),
      (/** @type {Error} */ error) => exited(error.message),
    );
    delete scope.webmsrpHost;
  });
  return (request) => {
    if (request.op === "send") request.body = toSource(request.body);
    handle(request);
  };
}

/**
 * @param {string} url
 * @param {WebAssembly.Imports} imports
 * @returns {Promise<WebAssembly.Instance>}
 */
async function load(url, imports) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answered ${response.status} ${response.statusText}`);
  if (WebAssembly.instantiateStreaming && response.headers.get("Content-Type")?.startsWith("application/wasm")) {
    return (await WebAssembly.instantiateStreaming(response, imports)).instance;
  }
  // A server that does not know the type, or a browser that cannot stream.
  return (await WebAssembly.instantiate(await response.arrayBuffer(), imports)).instance;
}
