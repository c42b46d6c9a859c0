// The inside of the Worker of browser.mjs: the scope that a worker's script
// finds, over a thread of Node.

import { parentPort, workerData } from "node:worker_threads";
import "./files.mjs";
import "./socket.mjs";

globalThis.self = {
  onmessage: undefined,
  postMessage: (message, transfer) => parentPort.postMessage(message, transfer),
};
await import(workerData);
parentPort.on("message", (data) => self.onmessage({ data }));
