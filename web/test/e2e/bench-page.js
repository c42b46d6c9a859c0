// What the benchmark measures, within the browser: how many milliseconds so many
// octets take. The module is also the worker of the bare WebSocket, which is to
// have a thread of its own like the client.

import { MsrpClient } from "./webmsrp.js";

const type = "application/octet-stream";

/** The client. Starts a session to a far end and returns what moves octets over it. */
export async function startClient(url, answer, options) {
  const client = await MsrpClient.connect(url, options);
  const session = client.createSession();
  await session.createOffer();
  await session.setRemoteDescription(answer);
  await session.send("hello").delivered;
  return {
    close: () => client.close(),
    async up(octets) {
      const file = new Blob([new Uint8Array(octets)], { type });
      const from = performance.now();
      await session.send(file).delivered;
      return performance.now() - from;
    },
    async down(octets) {
      const coming = new Promise((resolve) => session.addEventListener("message", (e) => resolve(e.message), { once: true }));
      const from = performance.now();
      session.send(`send ${octets}`);
      let got = 0;
      for (const reader = (await coming).body.getReader(); ; ) {
        const { done, value } = await reader.read();
        if (done) break;
        got += value.length;
      }
      if (got !== octets) throw new Error(`${got} octets of ${octets} came`);
      return performance.now() - from;
    },
  };
}

/**
 * A WebSocket without any protocol, in a worker. It sends a file as the client
 * does, and what comes goes to the page.
 */
export async function startBare(url) {
  const worker = new Worker(import.meta.url, { type: "module" });
  const run = async (way, octets, size) => {
    const file = new Blob([new Uint8Array(way === "up" ? octets : 0)]);
    const from = performance.now();
    let got = 0;
    await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => {
        got += data.byteLength ?? octets;
        if (got === octets) resolve();
      };
      worker.onerror = (event) => reject(new Error(event.message));
      worker.postMessage({ way, url, octets, size, file });
    });
    return performance.now() - from;
  };
  return { close: () => worker.terminate(), up: (...args) => run("up", ...args), down: (...args) => run("down", ...args) };
}

const bare = {
  async up({ url, size, file }) {
    const socket = await open(url);
    for (const reader = file.stream().getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      for (let from = 0; from < value.length; from += size) {
        // Timers take 4 ms: what is buffered must last for that.
        while (socket.bufferedAmount > 4 << 20) await new Promise((resolve) => setTimeout(resolve));
        socket.send(value.subarray(from, from + size));
      }
    }
    socket.send("all?");
    await new Promise((resolve) => (socket.onmessage = resolve));
    socket.close();
    postMessage("done");
  },
  async down({ url, octets, size }) {
    const socket = await open(`${url}?octets=${octets}&size=${size}`);
    let got = 0;
    socket.onmessage = ({ data }) => {
      got += data.byteLength;
      postMessage(data, [data]);
      if (got === octets) socket.close();
    };
  },
};

function open(url, ...protocols) {
  const socket = new WebSocket(url, protocols);
  socket.binaryType = "arraybuffer";
  return new Promise((resolve, reject) => {
    socket.onopen = () => resolve(socket);
    socket.onerror = () => reject(new Error(`no WebSocket at ${url}`));
  });
}

if (typeof document === "undefined") {
  self.onmessage = ({ data }) => void bare[data.way](data);
}

/**
 * What crocodile-msrp 1.0.0 does with a file, by its published source: chunks as
 * Blobs, each of which asks for a report, 32 KiB without a 200, and after each
 * response at most two more.
 */
export async function startCrocodile(url, uri, chunkSize, hash) {
  const socket = await open(url, "msrp");
  const id = () => Math.random().toString(36).slice(2, 10).padEnd(8, "0");
  const own = `msrp://${id()}.invalid:2855/${id()};ws`;
  const relay = `msrp://${new URL(url).host};ws`;
  const auth = (authorization) =>
    new Promise((resolve) => {
      socket.onmessage = ({ data }) => resolve(text(data));
      const transaction = id();
      socket.send(`MSRP ${transaction} AUTH\r\nTo-Path: ${relay}\r\nFrom-Path: ${own}\r\n${authorization}-------${transaction}$\r\n`);
    });
  const challenge = await auth("");
  const [, realm] = challenge.match(/realm="([^"]*)"/);
  const [, nonce] = challenge.match(/nonce="([^"]*)"/);
  const ha1 = await hash(`alice:${realm}:secret`);
  const ha2 = await hash(`AUTH:${relay}`);
  const cnonce = id();
  const answer = await hash(`${ha1}:${nonce}:00000001:${cnonce}:auth:${ha2}`);
  const granted = await auth(
    `Authorization: Digest username="alice", realm="${realm}", nonce="${nonce}", uri="${relay}", response="${answer}", qop=auth, cnonce="${cnonce}", nc=00000001, algorithm=MD5\r\n`,
  );
  const usePath = granted.match(/Use-Path: (\S+)/)?.[1];
  if (!usePath) throw new Error(`AUTH was answered: ${granted}`);

  const transactions = new Map();
  let outstanding = 0;
  let sender;
  socket.onmessage = ({ data }) => {
    const message = text(data);
    const [, transaction, kind] = message.split(/[ \r]/, 3);
    if (kind === "REPORT") {
      const [, start, end] = message.match(/Byte-Range: (\d+)-(\d+)/);
      if (Number(start) <= sender.acknowledged + 1) sender.acknowledged = Math.max(sender.acknowledged, Number(end));
      if (sender.acknowledged >= sender.file.size) sender.done();
      return;
    }
    if (!transactions.has(transaction)) return;
    if (kind !== "200") throw new Error(message);
    clearTimeout(transactions.get(transaction));
    transactions.delete(transaction);
    outstanding--;
    if (sender.file.size === 0) sender.done(); // it asks for no report
    sendRequests();
  };
  const sendRequests = () => {
    for (let sent = 0; sent < 2 && sender.sent < sender.file.size && outstanding < (32 << 10) / chunkSize; sent++) sendChunk();
  };
  const sendChunk = () => {
    const { file, sent } = sender;
    const end = Math.min(sent + chunkSize, file.size);
    const transaction = id();
    let head = `MSRP ${transaction} SEND\r\n`;
    head = head.concat("To-Path: ", `${usePath} ${uri}`, "\r\n", "From-Path: ", own, "\r\n");
    head = head.concat("Message-ID: ", sender.id, "\r\n", "Success-Report: yes\r\nFailure-Report: yes\r\n");
    if (sent === 0) head = head.concat("Content-Disposition: inline\r\n");
    head = head.concat("Byte-Range: ", `${sent + 1}-${end}/${file.size}`, "\r\n");
    if (end > sent) head = head.concat("Content-Type: ", type, "\r\n\r\n");
    const endLine = `-------${transaction}${end < file.size ? "+" : "$"}\r\n`;
    socket.send(end > sent ? new Blob([head, file.slice(sent, end), "\r\n", endLine]) : head + endLine);
    transactions.set(transaction, setTimeout(() => console.error("no response"), 30_000));
    outstanding++;
    sender.sent = end;
  };
  const send = (file) =>
    new Promise((done) => {
      sender = { file, done, id: `${id()}.${id()}`, sent: 0, acknowledged: 0 };
      sendChunk();
    });
  await send(new Blob());
  return {
    close: () => socket.close(),
    async up(octets) {
      const file = new Blob([new Uint8Array(octets)], { type });
      const from = performance.now();
      await send(file);
      return performance.now() - from;
    },
  };
}

const text = (data) => (typeof data === "string" ? data : new TextDecoder().decode(data));
