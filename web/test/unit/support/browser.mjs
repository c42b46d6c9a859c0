// What a page has and Node 20 has not: an address, a WebSocket, a Web Worker,
// and a server beside its modules. Import it before any module of the client.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { Worker as Thread } from "node:worker_threads";

const again = "WEBMSRP_TEST_AGAIN";

if (typeof WebSocket === "undefined") {
  // Node 20 has one behind a flag, which counts only at the start: so this
  // test starts once more. It ends with its standard input, that is with this
  // process, however that ends.
  const child = spawn(process.execPath, [...process.execArgv, "--experimental-websocket", ...process.argv.slice(1)], {
    stdio: ["pipe", "inherit", "inherit"],
    env: { ...process.env, [again]: "yes" },
  });
  const [status] = await once(child, "close");
  process.exit(status ?? 1);
}
if (process.env[again]) {
  delete process.env[again];
  process.stdin.on("end", () => process.exit(1)).resume();
  process.stdin.unref?.();
}

// On one origin with the modules, as a page usually is.
globalThis.location ??= new URL(import.meta.url);

// As a browser's Worker for module scripts, in a thread.
globalThis.Worker ??= class Worker {
  onmessage = null;
  onerror = null;
  #thread;

  /** @param {string | URL} url */
  constructor(url) {
    this.#thread = new Thread(new URL("worker-thread.mjs", import.meta.url), { workerData: String(url) });
    this.#thread.on("message", (data) => this.onmessage?.({ data }));
    this.#thread.on("error", (error) => this.onerror?.({ message: error.message }));
  }

  postMessage(message, transfer) {
    this.#thread.postMessage(message, transfer);
  }

  terminate() {
    this.#thread.terminate();
  }
};

await import("./files.mjs");
await import("./socket.mjs");
