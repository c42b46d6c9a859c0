// The worker: the protocol core, away from the page's thread.

import { startCore } from "./host.js";

const scope = /** @type {any} */ (self);

/** @type {((request: any) => void) | undefined} */
let handle;

scope.onmessage = async (/** @type {MessageEvent} */ event) => {
  if (handle) {
    handle(event.data);
    return;
  }
  const { wasmURL = new URL("./msrp.wasm", import.meta.url).href, integrity, life } = event.data;
  try {
    ({ handle } = await startCore({ wasmURL, integrity }, {
      post: (message, transfer) => scope.postMessage(message, transfer),
      exited: (why) => scope.postMessage({ exited: why }),
    }));
    scope.postMessage({ ready: true, held: await hold(life) });
  } catch (error) {
    scope.postMessage({ exited: error instanceof Error ? error.message : String(error) });
  }
};

/**
 * Holds a lock for as long as the worker lives, for the page to know by. False
 * where there are no locks: in pages that came without TLS.
 * @param {string} name
 * @returns {Promise<boolean>}
 */
function hold(name) {
  return new Promise((resolve) => {
    const forever = new Promise(() => {});
    const held = globalThis.navigator?.locks?.request(name, () => {
      resolve(true);
      return forever;
    });
    if (held) held.catch(() => resolve(false));
    else resolve(false);
  });
}
