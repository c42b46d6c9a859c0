// As much of a WebSocket server (RFC 6455) as lets a test play the other side:
// whole text messages, of JSON unless the test says otherwise, no extensions.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { Queue } from "./queue.mjs";

const text = 1;
const close = 8;

/** One WebSocket, from the server's side. */
class Connection {
  /** The messages that came, and at the end undefined. */
  #messages = new Queue();
  #socket;
  #format;
  #buffer = Buffer.alloc(0);

  constructor(socket, format) {
    this.#socket = socket;
    this.#format = format;
    this.closed = new Promise((resolve) => socket.once("close", resolve)).then(() => this.#messages.push(undefined));
    socket.on("error", () => {}); // its close follows
    socket.on("data", (data) => this.#parse(data));
  }

  #parse(data) {
    this.#buffer = Buffer.concat([this.#buffer, data]);
    for (;;) {
      const b = this.#buffer;
      let length = b[1] & 127;
      let at = 2;
      if (length === 126) length = b.length < 4 ? Infinity : b.readUInt16BE(2), (at = 4);
      else if (length === 127) length = b.length < 10 ? Infinity : Number(b.readBigUInt64BE(2)), (at = 10);
      if (!(b.length >= at + 4 + length)) return;
      const mask = b.subarray(at, at + 4);
      const payload = b.subarray(at + 4, at + 4 + length).map((octet, i) => octet ^ mask[i & 3]);
      this.#buffer = b.subarray(at + 4 + length);
      if ((b[0] & 15) === text) this.#messages.push(this.#format.parse(Buffer.from(payload).toString()));
      if ((b[0] & 15) === close) {
        this.#write(close, payload);
        this.#socket.end();
      }
    }
  }

  #write(opcode, payload) {
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    const head = payload.length < 126 ? [128 | opcode, payload.length] : [128 | opcode, 126, payload.length >> 8, payload.length & 255];
    this.#socket.write(Buffer.concat([Buffer.from(head), payload]));
  }

  /** The next message, or undefined at the end. */
  receive() {
    return this.#messages.next();
  }

  /** The next message, which must be of that type. */
  async expect(type) {
    const message = await this.receive();
    if (message?.type !== type) throw new Error(`expected ${type}, got ${JSON.stringify(message)}`);
    return message;
  }

  send(message) {
    this.#write(text, Buffer.from(this.#format.stringify(message)));
  }

  /** Breaks off, as a network does. */
  destroy() {
    this.#socket.destroy();
  }
}

/**
 * Starts a server that ends with the test.
 * @param {{parse(text: string): any, stringify(message: any): string}} [format] of its messages
 * @returns {Promise<{url: string, accept(): Promise<Connection>}>}
 */
export async function serveWebSocket(t, format = JSON) {
  const connections = new Queue();
  const sockets = new Set();
  const server = createServer((_, response) => response.writeHead(426).end());
  server.on("upgrade", (request, socket) => {
    sockets.add(socket);
    const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    const protocol = request.headers["sec-websocket-protocol"].split(",")[0].trim();
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: ${protocol}\r\n\r\n`);
    connections.push(Object.assign(new Connection(socket, format), { protocol }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
    server.closeAllConnections();
  });
  return { url: `ws://127.0.0.1:${server.address().port}/`, accept: () => connections.next() };
}
