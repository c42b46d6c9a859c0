// The browser's WebSocket as the protocol core uses it.

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
 * @param {() => void} closed is called when the core has closed it
 */
export function openSocket(url, memory, changed, closed) {
  const socket = new WebSocket(url, "msrp");
  socket.binaryType = "arraybuffer";
  /** @type {Uint8Array[]} */
  const queue = [];
  let waiting = 0;
  /** Once it is open. @type {ReturnType<typeof watchSilence> | undefined} */
  let silence;
  // A task of its own for the core: until it runs the browser hands out more of
  // what has come, and the core wakes once for all of that.
  const { port1, port2: task } = new MessageChannel();
  port1.onmessage = () => changed();
  /** The body of the message that was taken last, if it was not copied. @type {Uint8Array | undefined} */
  let body;
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

    /** The size of the next message without a long body, or -1. */
    next() {
      if (queue.length === 0) return -1;
      body = bodyOf(queue[0]);
      return queue[0].length - (body?.length ?? 0);
    },

    /** Copies the next message to the core, without a long body. */
    take(/** @type {number} */ at) {
      const message = /** @type {Uint8Array} */ (queue.shift());
      waiting -= message.length;
      if (body) {
        const from = body.byteOffset - message.byteOffset;
        const rest = message.subarray(from + body.length);
        memory(at, from).set(message.subarray(0, from));
        memory(at + from, rest.length).set(rest);
      } else {
        memory(at, message.length).set(message);
      }
    },

    /** The body that take left out, once, or undefined. */
    keep() {
      const kept = body;
      body = undefined;
      return kept;
    },

    /** Asks the relay now. */
    check: () => silence?.check(),

    /** @param {number} code @param {string} reason Nothing is told any more. */
    close(code, reason) {
      changed = () => {};
      self.over = true;
      stop();
      task.close();
      queue.length = 0;
      socket.onmessage = null;
      socket.close(code, reason);
      closed();
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
    else if (queue.push(message) === 1) task.postMessage(null);
  };
  // No close follows where a Content-Security-Policy forbids to connect.
  socket.onerror = () => self.opened || end(0, "");
  socket.onclose = ({ code, reason }) => end(code, reason);
  return self;
}

/** The longest header, and the shortest body, of messages whose bodies are not copied. */
const maxHeader = 4 << 10;
const minBody = 4 << 10;

/**
 * The body of a message where it is long: between the empty line and the
 * end-line of its transaction, if it has those. That it does is for the core to
 * see, in what is left.
 * @param {Uint8Array} message
 */
function bodyOf(message) {
  const transaction = message.subarray(5, 5 + 33).indexOf(space);
  if (transaction < 0 || message.length < minBody) return undefined;
  const header = message.subarray(0, maxHeader);
  for (let at = header.indexOf(cr); at >= 0; at = header.indexOf(cr, at + 2)) {
    if (header[at + 1] !== lf || header[at + 2] !== cr || header[at + 3] !== lf) continue;
    const body = message.subarray(at + 4, message.length - ("\r\n-------$\r\n".length + transaction));
    return body.length < minBody ? undefined : body;
  }
  return undefined;
}

const cr = 13;
const lf = 10;
const space = 32;
