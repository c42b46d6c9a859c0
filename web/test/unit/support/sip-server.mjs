// A SIP server, and whoever is behind it, over a WebSocket: it says what a test
// wants it to say.

import assert from "node:assert/strict";
import { serveWebSocket } from "./websocket-server.mjs";

/** A message by its parts; headers are a list of names and values. */
const format = {
  parse(text) {
    const at = text.indexOf("\r\n\r\n");
    const [start, ...lines] = text.slice(0, at).split("\r\n");
    const headers = lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]);
    return { start, headers, body: text.slice(at + 4), get: (name) => headers.find(([n]) => n === name.toLowerCase())?.[1] ?? "" };
  },
  stringify: ({ start, headers, body }) =>
    [start, ...headers.map(([name, value]) => `${name}: ${value}`), `Content-Length: ${Buffer.byteLength(body)}`, "", body].join("\r\n"),
};

export const tagOf = (value) => /;tag=([^;>]+)/.exec(value)?.[1];

let branches = 0;

/** The server's side of a connection. */
class Server {
  #there;
  #cseq = 0;

  constructor(there) {
    this.#there = there;
    this.protocol = there.protocol;
  }

  /** The next message, which must begin so. */
  async expect(start) {
    let message;
    do message = await this.#there.receive();
    while (message?.start.startsWith("SIP/2.0 100 "));
    assert.ok(message?.start.startsWith(start), `expected ${start}, got ${message?.start}`);
    return message;
  }

  /** Answers a request, as to with the tag "there" where it has none. */
  respond(request, status, { headers = [], body = "" } = {}) {
    const to = request.get("To");
    this.#there.send({
      start: `SIP/2.0 ${status}`,
      headers: [
        ["Via", request.get("Via")],
        ["From", request.get("From")],
        ["To", tagOf(to) ? to : `${to};tag=there`],
        ["Call-ID", request.get("Call-ID")],
        ["CSeq", request.get("CSeq")],
        ...(body ? [["Content-Type", "application/sdp"]] : []),
        ...headers,
      ],
      body,
    });
  }

  /** Takes a registration, as a registrar does. */
  async register(challenges = 0) {
    let request = await this.expect("REGISTER sip:example.com ");
    for (; challenges > 0; challenges--) {
      this.respond(request, "401 Unauthorized", { headers: [["WWW-Authenticate", 'Digest realm="example.com", nonce="n", qop="auth"']] });
      request = await this.expect("REGISTER ");
    }
    return request;
  }

  /** Sends a request of bob's, in a dialog where the tag of alice is given. */
  request(method, { id = "c1", tag, body = "", contact = true, type = "application/sdp", headers = [], cseq = ++this.#cseq } = {}) {
    this.#there.send({
      start: `${method} sip:alice@example.com SIP/2.0`,
      headers: [
        ["Via", `SIP/2.0/WS bob.invalid;branch=z9hG4bK${++branches}`],
        ["Max-Forwards", "70"],
        ["From", "<sip:bob@example.com>;tag=there"],
        ["To", `<sip:alice@example.com>${tag ? `;tag=${tag}` : ""}`],
        ["Call-ID", id],
        ["CSeq", `${cseq} ${method}`],
        ...(contact ? [["Contact", "<sip:bob@bob.invalid;transport=ws>"]] : []),
        ...(body ? [["Content-Type", type]] : []),
        ...headers,
      ],
      body,
    });
    return cseq;
  }

  /** Cancels the INVITE that a provisional response is of. */
  cancel(response) {
    this.#follow(response, "CANCEL", "<sip:alice@example.com>");
  }

  /** Confirms the refusal of an INVITE. */
  confirm(response) {
    this.#follow(response, "ACK", response.get("To"));
  }

  #follow(response, method, to) {
    const same = ["Via", "From", "Call-ID"].map((name) => [name, response.get(name)]);
    const headers = [...same, ["To", to], ["CSeq", response.get("CSeq").replace("INVITE", method)], ["Max-Forwards", "70"]];
    this.#there.send({ start: `${method} sip:alice@example.com SIP/2.0`, headers, body: "" });
  }

  destroy() {
    this.#there.destroy();
  }
}

export async function serveSip(t) {
  const server = await serveWebSocket(t, format);
  return { url: server.url, accept: async () => new Server(await server.accept()) };
}
