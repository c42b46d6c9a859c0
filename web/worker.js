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
  try {
    handle = await startCore(event.data.wasmURL ?? new URL("./msrp.wasm", import.meta.url).href, {
      post: (message, transfer) => scope.postMessage(message, transfer),
      exited: (why) => scope.postMessage({ exited: why }),
    });
    scope.postMessage({ ready: true });
  } catch (error) {
    scope.postMessage({ exited: `cannot load the protocol core: ${error instanceof Error ? error.message : error}` });
  }
};
