// Runs the protocol core, in whatever thread this module is loaded.

import { md5 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { wasmIntegrity } from "./integrity.js";
import "./wasm_exec.js";
import { serveFiles } from "./filehost.js";
import { openSocket } from "./socket.js";

/** @typedef {{wasmURL: string, integrity?: string}} Program where the core lies, and the hash that the page knows of it */
/** @typedef {{post: (message: object, transfer: Transferable[]) => void, exited: (why: string) => void}} Page */

/**
 * Loads and starts the core.
 * @param {Program} program
 * @param {Page} page what gets its messages, and learns of its end
 * @returns {Promise<{handle: (request: any) => void, end: () => void}>} what takes requests, and ends what the core's end leaves
 */
export async function startCore({ wasmURL, integrity = wasmIntegrity }, page) {
  if (integrity !== wasmIntegrity) throw new Error(`${import.meta.url} and webmsrp.js are of two builds: publish the files of one build together, then reload the page`);
  const go = new Go();
  const instance = await load(wasmURL, go.importObject);
  const memory = (/** @type {number} */ at, /** @type {number} */ size) =>
    new Uint8Array(/** @type {WebAssembly.Memory} */ (instance.exports.mem).buffer, at, size);
  /** @type {(request: any) => void} */
  let handle = () => {};
  const files = serveFiles((request) => handle(request), page.post);
  await new Promise((ready, failed) => {
    const host = {
      post: files.post,
      // For AUTH. Go's own would make the program 35 KB larger.
      hash: (/** @type {string} */ algorithm, /** @type {Uint8Array} */ octets) => (algorithm === "MD5" ? md5 : sha256)(octets),
      socket: (/** @type {string} */ url, /** @type {() => void} */ changed) => openSocket(url, memory, changed),
      ready: () => {
        handle = host.handle;
        ready(undefined);
      },
      /** @type {any} */
      handle: undefined,
    };
    let over = false;
    const exited = (/** @type {string} */ why) => {
      if (over) return;
      over = true;
      // On the page's thread nothing else would end these.
      for (const value of values ?? []) if (value instanceof WebSocket) value.close();
      for (const timeout of go._scheduledTimeouts.values()) clearTimeout(timeout);
      go._scheduledTimeouts.clear();
      failed(new Error(why)); // unless it was ready
      page.exited(why);
    };
    const resume = go._resume.bind(go);
    go._resume = () => {
      if (over) return; // events may still come
      try {
        resume();
      } catch (error) {
        exited(/** @type {Error} */ (error).message);
        throw error;
      }
    };
    // Go reads it at its start, before anything else can run.
    const scope = /** @type {any} */ (globalThis);
    scope.webmsrpHost = host;
    const running = go.run(instance);
    delete scope.webmsrpHost;
    const values = go._values; // Go lets go of them at its end
    running.then(
      () => exited("the protocol core has ended"),
      (/** @type {Error} */ error) => exited(error.message),
    );
  });
  return files;
}

/**
 * @param {string} url
 * @param {WebAssembly.Imports} imports
 * @returns {Promise<WebAssembly.Instance>}
 */
async function load(url, imports) {
  const response = await fetchCore(url);
  if (WebAssembly.instantiateStreaming && response.headers.get("Content-Type")?.startsWith("application/wasm")) {
    return (await WebAssembly.instantiateStreaming(response, imports)).instance;
  }
  // A server that does not know the type, or a browser that cannot stream.
  return (await WebAssembly.instantiate(await response.arrayBuffer(), imports)).instance;
}

/**
 * Fetches the core, and no other than the one these modules belong to.
 * @param {string} url
 */
async function fetchCore(url) {
  if (!wasmIntegrity) return fetchAny(url);
  try {
    return await fetch(url, { integrity: wasmIntegrity });
  } catch {
    // The browser does not tell why. Without the hash it does, and what it
    // holds in its cache, perhaps of an earlier build, gives way to the newest.
    const newest = await fetchAny(url, { cache: "reload" });
    await newest.arrayBuffer();
  }
  return fetch(url, { integrity: wasmIntegrity }).catch((cause) => {
    throw new Error(`${url} is of another build than webmsrp.js: publish the files of one build together, then reload the page`, { cause });
  });
}

/**
 * Fetches what is there. Many servers give a page for what they do not have.
 * @param {string} url
 * @param {RequestInit} [options]
 */
async function fetchAny(url, options) {
  const response = await fetch(url, options);
  const page = response.headers.get("Content-Type")?.startsWith("text/html");
  if (response.ok && !page) return response;
  const answer = response.ok ? "a page of HTML" : `${response.status} ${response.statusText}`.trim();
  const advice = response.ok || response.status === 404 ? ": publish msrp.wasm there, or say with wasmURL where it is" : "";
  throw new Error(`${url} answered ${answer}${advice}`);
}
