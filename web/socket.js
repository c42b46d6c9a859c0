// The browser's WebSocket as the protocol core uses it: octets go between the
// socket and the core's memory without an object of Go's for each.

import { watchSilence } from "./recovery.js";

/**
 * How many octets may wait for the core to take them. The relay keeps to a
 * window that is far below.
 */
const maxReceived = 16 << 20;

/** How long a WebSocket may take to open, in milliseconds: browsers wait for minutes on some networks. */
const openTime = 15_000;

/**
 * Opens a WebSocket with the subprotocol msrp.
 * @param {string} url
 * @param {(at: number, size: number) => Uint8Array<ArrayBuffer>} memory views the core's memory
 * @param {() => void} changed is called when it is open, a message came where there was none, the relay is to be asked, or it is over
 */
export function openSocket(url, memory, changed) {
  const socket = new WebSocket(url, "msrp");
  socket.binaryType = "arraybuffer";
  /** @type {Uint8Array[]} */
  const queue = [];
  let waiting = 0;
  /** Once it is open. @type {ReturnType<typeof watchSilence> | undefined} */
  let silence;
  const self = {
    opened: false,
    over: false,
    /** Whether the relay is to be asked for a sign of life. */
    silent: false,
    /** Why it is over: the code of the WebSocket, or 0 without one. */
    code: 0,
    reason: "",

    get protocol() {
      return socket.protocol;
    },

    /** Returns how many octets the browser holds then, or -1 if it is over. */
    send(/** @type {number} */ at, /** @type {number} */ size) {
      if (self.over) return -1;
      socket.send(memory(at, size)); // which copies them
      return socket.bufferedAmount;
    },

    buffered: () => (self.over ? -1 : socket.bufferedAmount),

    /** The size of the next message, or -1. */
    next: () => (queue.length > 0 ? queue[0].length : -1),

    /** Copies the next message to the core. */
    take(/** @type {number} */ at) {
      const message = /** @type {Uint8Array} */ (queue.shift());
      waiting -= message.length;
      memory(at, message.length).set(message);
    },

    /** Asks the relay now. */
    check: () => silence?.check(),

    /** @param {number} code @param {string} reason Nothing is told any more. */
    close(code, reason) {
      changed = () => {};
      self.over = true;
      stop();
      queue.length = 0;
      socket.onmessage = null;
      socket.close(code, reason);
    },
  };

  const end = (/** @type {number} */ code, /** @type {string} */ reason) => {
    if (self.over) return;
    stop();
    Object.assign(self, { over: true, code, reason });
    changed();
  };
  const late = setTimeout(() => end(0, ""), openTime);
  const stop = () => {
    clearTimeout(late);
    silence?.stop();
    silence = undefined;
  };
  socket.onopen = () => {
    if (self.over) return;
    clearTimeout(late);
    self.opened = true;
    silence = watchSilence(
      () => {
        self.silent = true;
        changed();
      },
      () => end(0, "the relay gives no sign of life"),
    );
    changed();
  };
  socket.onmessage = ({ data }) => {
    if (self.over) return;
    self.silent = false;
    silence?.hear();
    // A string where the sender thought that it was text.
    const message = typeof data === "string" ? new TextEncoder().encode(data) : new Uint8Array(data);
    waiting += message.length;
    if (waiting > maxReceived) end(0, "the relay sends faster than it is allowed to");
    else if (queue.push(message) === 1) changed();
  };
  // No close follows where a Content-Security-Policy forbids to connect.
  socket.onerror = () => self.opened || end(0, "");
  socket.onclose = ({ code, reason }) => end(code, reason);
  return self;
}
