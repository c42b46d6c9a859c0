// Runs the protocol core, in whatever thread this module is loaded.

import { md5 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { wasmIntegrity } from "./integrity.js";
import "./wasm_exec.js";
import { serveFiles } from "./filehost.js";
import { newImports } from "./imports.js";
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
  const memory = (/** @type {number} */ at, /** @type {number} */ size) =>
    new Uint8Array(/** @type {WebAssembly.Memory} */ (instance.exports.mem).buffer, at, size);
  /** @type {(request: any) => void} */
  let handle = () => {};
  const files = serveFiles((request) => handle(request), page.post);
  const { sockets, functions } = newImports(memory, files.post);
  const instance = await load(wasmURL, { ...go.importObject, webmsrp: functions });
  await new Promise((ready, failed) => {
    const host = {
      post: files.post,
      // For AUTH. Go's own would make the program 35 KB larger.
      hash: (/** @type {string} */ algorithm, /** @type {Uint8Array} */ octets) => (algorithm === "MD5" ? md5 : sha256)(octets),
      socket(/** @type {string} */ url, /** @type {() => void} */ changed) {
        const socket = openSocket(url, memory, changed, () => sockets.take(number));
        const number = sockets.add(socket);
        return Object.assign(socket, { number });
      },
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
      for (const socket of sockets.values()) socket.close(1000, "");
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
    running.then(
      () => exited("the protocol core has ended"),
      (/** @type {Error} */ error) => exited(error.message),
    );
  });
  return files;
}

/**
 * Loads the core that these modules belong to, and no other.
 * @param {string} url
 * @param {WebAssembly.Imports} imports
 * @returns {Promise<WebAssembly.Instance>}
 */
async function load(url, imports) {
  // The browser may hold one of an earlier build in its cache.
  const module = (await compile(await fetchAny(url))) ?? (await compile(await fetchAny(url, { cache: "reload" })));
  if (module) return WebAssembly.instantiate(module, imports);
  throw new Error(`${url} is of another build than webmsrp.js: publish the files of one build together, then reload the page`);
}

/**
 * Compiles while it arrives: fetch with the option integrity would keep it back
 * until it is whole. Nothing runs before its hash is known to be right.
 * @param {Response} response
 * @returns {Promise<WebAssembly.Module | undefined>} nothing if it is of another build
 */
async function compile(response) {
  // There are servers that do not know the type.
  const streams = response.headers.get("Content-Type")?.startsWith("application/wasm");
  const octets = (streams ? response.clone() : response).arrayBuffer();
  const compiling = streams ? WebAssembly.compileStreaming(response) : octets.then(WebAssembly.compile);
  compiling.catch(() => {}); // the hash may tell more
  if (wasmIntegrity && (await integrityOf(await octets)) !== wasmIntegrity) return undefined;
  return compiling;
}

/** @param {ArrayBuffer} octets */
async function integrityOf(octets) {
  // Pages that came without TLS have no crypto.subtle.
  const hash = globalThis.crypto?.subtle ? new Uint8Array(await crypto.subtle.digest("SHA-256", octets)) : sha256(new Uint8Array(octets));
  return `sha256-${btoa(String.fromCharCode(...hash))}`;
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
