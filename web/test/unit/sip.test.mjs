import "./support/browser.mjs";
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { MsrpError } from "../../errors.js";
import * as module from "../../signalling/sip.js";
import { event, test, turns } from "./support/cases.mjs";
import { serveSip, tagOf } from "./support/sip-server.mjs";

const { Sip } = module;
const name = "sip:alice@example.com";

/** alice at a SIP server, and the server's side of it. */
async function register(t, options = {}) {
  const server = await serveSip(t);
  const connecting = Sip.connect(server.url, { name, password: "secret", ...options });
  const there = await server.accept();
  const request = await there.register();
  there.respond(request, "200 OK", { headers: [["Contact", request.get("Contact")]] });
  const sip = await connecting;
  t.after(() => sip.close());
  return { server, sip, there };
}

/** A call of alice's to bob that was answered. */
async function answered(t, options = {}) {
  const { server, sip, there } = await register(t, options);
  const calling = sip.call("bob", "v=0\r\no=- 1 1 IN IP4 alice\r\n");
  const invite = await there.expect("INVITE sip:bob@example.com ");
  there.respond(invite, "180 Ringing");
  there.respond(invite, "200 OK", { body: "v=0 answer", headers: [["Contact", "<sip:bob@bob.invalid;transport=ws>"]] });
  await there.expect("ACK sip:bob@bob.invalid;transport=ws ");
  return { server, sip, there, invite, id: invite.get("Call-ID"), tag: tagOf(invite.get("From")), ...(await calling) };
}

/** A call of bob's that alice has yet to answer. */
async function rung(t, options = {}) {
  const { sip, there } = await register(t);
  const ringing = event(sip, "incoming");
  const cseq = there.request("INVITE", { body: "v=0 offer", ...options });
  const { call } = await ringing;
  const tag = tagOf((await there.expect("SIP/2.0 180 ")).get("To"));
  return { sip, there, call, tag, cseq };
}

const rejects = (promise, code, pattern) =>
  assert.rejects(promise, (error) => {
    assert.ok(error instanceof MsrpError, `${error} is an MsrpError`);
    assert.equal(error.code, code);
    assert.match(error.message, pattern);
    return true;
  });

/** What a kept session does, as far as a call asks it. */
class Session extends EventTarget {
  connectionState = "connected";
  heard = [];
  #version = 1;
  async createOffer() {
    return { type: "offer", sdp: `v=0\r\no=- 1 ${this.#version} IN IP4 alice\r\ns=-\r\nm=message 9 TCP/MSRP *\r\na=path:msrp://alice/${this.#version++};tcp\r\n` };
  }
  async createAnswer() {
    return { type: "answer", sdp: `v=0\r\no=- 1 7 IN IP4 alice\r\na=path:msrp://alice/${this.#version++};tcp\r\n` };
  }
  async setRemoteDescription({ type, sdp }) {
    this.heard.push(`${type} ${sdp}`);
    if (sdp.includes("broken")) throw new MsrpError("This cannot be read.");
  }
}

test("the module exports the classes of its description, and nothing else", async () => {
  const description = await readFile(new URL("../../types/signalling/sip.d.ts", import.meta.url), "utf8");
  const described = Array.from(description.matchAll(/^export (?:class|const|function) (\w+)/gm), ([, name]) => name);
  assert.deepEqual(Object.keys(module).sort(), described.sort());
});

test("an address is registered with its password, and no longer after close", async (t) => {
  const server = await serveSip(t);
  const connecting = Sip.connect(new URL(server.url.replace("ws", "http")), { name, username: "robert", password: "secret", displayName: "Alice" });
  const there = await server.accept();
  assert.equal(there.protocol, "sip");
  const request = await there.register(1);
  assert.match(request.get("Authorization"), /username="robert"/);
  assert.match(request.get("From"), /^"Alice" <sip:alice@example\.com>/);
  assert.match(request.get("Contact"), /;transport=ws>;.*\+sip\.instance="<urn:uuid:.*;expires=600/);
  assert.match(request.get("Supported"), /gruu/);
  there.respond(request, "200 OK", { headers: [["Contact", `${request.get("Contact")};pub-gruu="sip:alice@example.com;gr=urn:uuid:mine"`]] });
  const sip = await connecting;
  assert.equal(sip.name, name);
  sip.call("bob", "v=0 offer").catch(() => {});
  const invite = await there.expect("INVITE ");
  assert.match(invite.get("Contact"), /^<sip:alice@example\.com;gr=urn:uuid:mine>/, "the address that outlives the connection");
  there.respond(invite, "486 Busy Here");
  await there.expect("ACK ");
  sip.close();
  assert.equal(await sip.closed, undefined);
  assert.match((await there.expect("REGISTER ")).get("Contact"), /;expires=0/);
});

test("who only calls need not register", async (t) => {
  const server = await serveSip(t);
  const connecting = Sip.connect(server.url, { name, register: false });
  const there = await server.accept();
  const sip = await connecting;
  t.after(() => sip.close());
  sip.call("sip:bob@example.org", "v=0 offer").catch(() => {});
  there.respond(await there.expect("INVITE sip:bob@example.org "), "486 Busy Here");
});

for (const [what, refuse, code, pattern] of [
  ["a wrong password", async (there) => there.respond(await there.register(1), "401 Unauthorized", { headers: [["WWW-Authenticate", 'Digest realm="example.com", nonce="n", qop="auth"']] }), 401, /^Wrong username or password\./],
  ["somebody else's address", async (there) => there.respond(await there.register(), "403 Forbidden", { headers: [["Warning", '399 example.com "it is bob\'s"']] }), 403, /^sip:alice@example\.com is not your address: it is bob's\.$/],
  ["an error of the server", async (there) => there.respond(await there.register(), "503 Service Unavailable"), 503, /^The SIP server cannot be reached at the moment\.$/],
  ["an answer that is not about this address", async (there) => there.respond(await there.register(), "200 OK"), undefined, /does not register this address/],
  ["a connection that breaks", async (there) => (await there.register(), there.destroy()), undefined, /^The connection to the SIP server was lost\.$/],
]) {
  test(`a registration that comes to ${what} says so`, async (t) => {
    const server = await serveSip(t);
    const connecting = Sip.connect(server.url, { name, password: "secret" });
    connecting.catch(() => {});
    await refuse(await server.accept());
    await rejects(connecting, code, pattern);
  });
}

test("no address, no patience", async (t) => {
  const server = await serveSip(t);
  for (const wrong of ["alice", "sip:", "sip:example.com", "mailto:alice@example.com"]) await rejects(Sip.connect(server.url, { name: wrong }), undefined, /is not a SIP address/);
  await assert.rejects(Sip.connect(server.url, { name, signal: AbortSignal.abort() }), { name: "AbortError" });
  const controller = new AbortController();
  const connecting = Sip.connect(server.url, { name, signal: controller.signal });
  await (await server.accept()).register();
  controller.abort(new Error("enough"));
  await assert.rejects(connecting, { message: "enough" });
});

test("a call is answered, and ended by this side", async (t) => {
  const { there, call, invite, answer } = await answered(t);
  assert.equal(answer, "v=0 answer");
  assert.equal(invite.body, "v=0\r\no=- 1 1 IN IP4 alice\r\n");
  assert.equal(invite.get("Content-Type"), "application/sdp");
  assert.deepEqual([call.peer, call.offer, call.over], ["bob", "", false]);
  const over = event(call, "bye");
  call.bye('that is "all", \\ 👋\n');
  await over;
  assert.equal(call.over, true);
  const bye = await there.expect("BYE sip:bob@bob.invalid;transport=ws ");
  assert.equal(bye.get("Reason"), 'SIP ;cause=200 ;text="that is \\"all\\", \\\\ 👋 "');
  there.respond(bye, "200 OK");
  call.bye("again");
});

test("a call is ended by the other side, in its words", async (t) => {
  for (const [header, reason] of [[[], "hung up"], [[["Reason", 'SIP ;cause=200 ;text="that is \\"all\\""']], 'that is "all"']]) {
    const { there, call, id, tag } = await answered(t);
    const over = event(call, "bye");
    there.request("BYE", { id, tag, headers: header });
    await over;
    assert.equal(call.reason, reason);
    await there.expect("SIP/2.0 200 ");
  }
});

for (const [status, code, pattern] of [
  ["404 Not Found", 404, /^bob is not here\.$/],
  ["408 Request Timeout", 408, /^bob does not answer\.$/],
  ["415 Unsupported Media Type", 415, /^bob does not take this kind of conversation\.$/],
  ["480 Temporarily Unavailable", 480, /^bob cannot be reached at the moment\.$/],
  ["486 Busy Here", 486, /^bob is busy\.$/],
  ["488 Not Acceptable Here", 488, /^bob cannot accept this conversation: no TLS here\.$/],
  ["600 Busy Everywhere", 600, /^bob is busy\.$/],
  ["603 Decline", 603, /^bob declined\.$/],
  ["302 Moved Temporarily", 302, /302/],
  ["599 Strange", 599, /599: No TLS here\./],
]) {
  test(`a call that is refused with ${code} says what that means`, async (t) => {
    const { sip, there } = await register(t);
    const calling = sip.call("bob", "v=0 offer");
    calling.catch(() => {});
    there.respond(await there.expect("INVITE "), status, { headers: [["Warning", '399 bob "no TLS here"']] });
    await there.expect("ACK ");
    await rejects(calling, code, pattern);
  });
}

test("a proxy that does not take the password says so", async (t) => {
  const { sip, there } = await register(t);
  const calling = sip.call("bob", "v=0 offer");
  calling.catch(() => {});
  const challenge = { headers: [["Proxy-Authenticate", 'Digest realm="example.com", nonce="n", qop="auth"']] };
  there.respond(await there.expect("INVITE "), "407 Proxy Authentication Required", challenge);
  await there.expect("ACK ");
  const again = await there.expect("INVITE ");
  assert.match(again.get("Proxy-Authorization"), /username="alice"/);
  there.respond(again, "407 Proxy Authentication Required", challenge);
  await there.expect("ACK ");
  await rejects(calling, 401, /^Wrong username or password\./);
});

test("a call can be given up, and what is answered nevertheless is ended", async (t) => {
  const { sip, there } = await register(t);
  await assert.rejects(sip.call("bob", "v=0 offer", { signal: AbortSignal.abort() }), { name: "AbortError" });
  for (const late of [false, true]) {
    const controller = new AbortController();
    const calling = sip.call("bob", "v=0 offer", { signal: controller.signal });
    const invite = await there.expect("INVITE ");
    there.respond(invite, "180 Ringing");
    await turns();
    controller.abort(new Error("enough"));
    await assert.rejects(calling, { message: "enough" });
    const cancel = await there.expect("CANCEL ");
    there.respond(cancel, "200 OK");
    if (!late) {
      there.respond(invite, "487 Request Terminated");
      await there.expect("ACK ");
      continue;
    }
    there.respond(invite, "200 OK", { body: "v=0 answer", headers: [["Contact", "<sip:bob@bob.invalid;transport=ws>"]] });
    await there.expect("ACK ");
    there.respond(await there.expect("BYE "), "200 OK");
  }
});

test("an answer without a description is none", async (t) => {
  const { sip, there } = await register(t);
  const calling = sip.call("bob", "v=0 offer");
  calling.catch(() => {});
  there.respond(await there.expect("INVITE "), "200 OK", { headers: [["Contact", "<sip:bob@bob.invalid;transport=ws>"]] });
  await there.expect("ACK ");
  there.respond(await there.expect("BYE "), "200 OK");
  await rejects(calling, undefined, /./);
});

test("others call: their offer is answered", async (t) => {
  const { there, call, tag, cseq } = await rung(t);
  assert.deepEqual([call.peer, call.offer, call.over], ["sip:bob@example.com", "v=0 offer", false]);
  call.answer("v=0 answer");
  const ok = await there.expect("SIP/2.0 200 ");
  assert.equal(ok.body, "v=0 answer");
  assert.equal(tagOf(ok.get("To")), tag);
  there.request("ACK", { tag, cseq });
  const over = event(call, "bye");
  there.request("BYE", { tag });
  await over;
  assert.equal(call.reason, "hung up");
});

test("others call: they are refused, in words", async (t) => {
  const { there, call } = await rung(t);
  const over = event(call, "bye");
  call.refuse(603, 'not "now"');
  await over;
  const response = await there.expect("SIP/2.0 603 ");
  assert.equal(response.get("Warning"), '399 webmsrp "not \\"now\\""');
});

test("others call and give up", async (t) => {
  const { sip, there } = await register(t);
  const ringing = event(sip, "incoming");
  there.request("INVITE", { body: "v=0 offer" });
  const { call } = await ringing;
  const response = await there.expect("SIP/2.0 180 ");
  const over = event(call, "bye");
  there.cancel(response);
  await over;
  assert.equal(call.reason, "canceled");
  await there.expect("SIP/2.0 200 ");
  await there.expect("SIP/2.0 487 ");
  call.answer("v=0 too late");
});

test("where nobody takes calls, or they are of no use, they are refused", async (t) => {
  const { there } = await register(t);
  there.request("INVITE", { id: "c1", body: "v=0 offer" });
  await there.expect("SIP/2.0 180 ");
  await there.expect("SIP/2.0 486 ");
  there.request("INVITE", { id: "c2" });
  await there.expect("SIP/2.0 180 ");
  assert.equal((await there.expect("SIP/2.0 488 ")).get("Warning"), '399 webmsrp "an INVITE without an offer"');
  there.request("INVITE", { id: "c3", body: "--x--", type: "multipart/mixed;boundary=x" });
  await there.expect("SIP/2.0 180 ");
  assert.equal((await there.expect("SIP/2.0 415 ")).get("Accept"), "application/sdp");
});

test("a kept session answers further offers, each with a version of its own", async (t) => {
  const { there, call, id, tag } = await answered(t);
  const session = new Session();
  const invite = (body) => there.request("INVITE", { id, tag, body });
  /** Confirms an answer; SIP.js takes no other offer in the same turn. */
  const confirm = async (cseq) => {
    there.request("ACK", { id, tag, cseq });
    there.request("OPTIONS", { id, tag });
    await there.expect("SIP/2.0 ");
    await turns();
  };
  invite("v=0 nobody keeps it");
  there.confirm(await there.expect("SIP/2.0 488 "));
  call.keep(session);
  for (const version of [2, 3]) {
    const cseq = invite(`v=0 offer ${version}`);
    const ok = await there.expect("SIP/2.0 200 ");
    assert.match(ok.body, new RegExp(`^o=- 1 ${version} IN IP4 alice\\r$`, "m"));
    await confirm(cseq);
  }
  assert.deepEqual(session.heard, ["offer v=0 offer 2", "offer v=0 offer 3"]);
  invite("v=0 broken");
  there.confirm(await there.expect("SIP/2.0 488 "));
  // The other side holds the call, and no longer.
  for (const [direction, held] of [["sendonly", true], ["inactive", true], ["sendrecv", false]]) {
    const changed = held !== call.held ? event(call, "hold") : Promise.resolve();
    const cseq = invite(`v=0\r\nm=message 9 TCP/MSRP *\r\na=${direction}\r\n`);
    await changed;
    assert.equal(call.held, held);
    await there.expect("SIP/2.0 200 ");
    await confirm(cseq);
  }
});

test("a kept session is offered again when it needs that", async (t) => {
  const { there, call } = await answered(t);
  const session = new Session();
  call.keep(session);
  session.dispatchEvent(new Event("negotiationneeded"));
  let invite = await there.expect("INVITE sip:bob@bob.invalid;transport=ws ");
  assert.match(invite.body, /^a=path:msrp:\/\/alice\/1;tcp\r$/m);
  there.respond(invite, "200 OK", { body: "v=0 answer 2" });
  await there.expect("ACK ");
  assert.deepEqual(session.heard, ["answer v=0 answer 2"]);

  // Held, and not any more.
  for (const [held, pattern] of [[true, /^a=sendonly\r$/m], [false, /^(?!a=sendonly)/]]) {
    const holding = call.hold(held);
    invite = await there.expect("INVITE ");
    assert.match(invite.body, pattern);
    assert.equal(invite.body.includes("a=sendonly"), held);
    there.respond(invite, "200 OK", { body: "v=0 answer" });
    await there.expect("ACK ");
    await holding;
  }
  const holding = call.hold();
  holding.catch(() => {});
  there.respond(await there.expect("INVITE "), "488 Not Acceptable Here");
  await there.expect("ACK ");
  await rejects(holding, 488, /cannot accept/);

  // Both sides at the same time: once more.
  session.dispatchEvent(new Event("negotiationneeded"));
  there.respond(await there.expect("INVITE "), "491 Request Pending");
  await there.expect("ACK ");
  invite = await there.expect("INVITE ");
  assert.ok(!invite.body.includes("a=sendonly"));
  there.respond(invite, "200 OK", { body: "v=0 broken" });
  await there.expect("ACK ");
  await turns();
  assert.equal(call.over, false, "the session decides");
});

test("messages outside of calls", async (t) => {
  const { sip, there } = await register(t);
  const heard = event(sip, "message");
  there.request("MESSAGE", { body: "Grüße 👋", type: "text/plain", contact: false });
  const { from, contentType, body } = await heard;
  assert.deepEqual({ from, contentType, body }, { from: "sip:bob@example.com", contentType: "text/plain", body: "Grüße 👋" });
  await there.expect("SIP/2.0 200 ");
  const sending = sip.message("bob", "Grüße zurück");
  const request = await there.expect("MESSAGE sip:bob@example.com ");
  assert.equal(request.body, "Grüße zurück");
  assert.equal(request.get("Content-Type"), "text/plain");
  there.respond(request, "202 Accepted");
  await sending;
  const refused = sip.message("bob", "hello");
  refused.catch(() => {});
  there.respond(await there.expect("MESSAGE "), "404 Not Found");
  await rejects(refused, 404, /^bob is not here\.$/);
});

test("a connection that is lost ends all, and says so", async (t) => {
  const { sip, there, call } = await answered(t, { reconnect: false });
  const over = event(call, "bye");
  const calling = sip.call("carol", "v=0 offer");
  calling.catch(() => {});
  await there.expect("INVITE ");
  there.destroy();
  const error = await sip.closed;
  assert.equal(error.kind, "lost");
  assert.equal(sip.connectionState, "closed");
  await over;
  assert.equal(call.reason, error.message);
  await rejects(calling, undefined, /lost/);
  await rejects(sip.call("bob", "v=0 offer"), undefined, /lost/);
});

test("a connection that is lost comes back, with what was agreed on", async (t) => {
  let asked = 0;
  const credentials = () => ({ username: `alice${++asked}`, password: "secret" });
  const { server, sip, call, there } = await answered(t, { credentials });
  const session = new Session();
  call.keep(session);
  const calling = sip.call("carol", "v=0 offer");
  calling.catch(() => {});
  await there.expect("INVITE ");
  const states = [];
  sip.addEventListener("connectionstatechange", () => states.push(sip.connectionState));
  there.destroy();
  await rejects(calling, undefined, /lost/);

  // The first attempt does not help.
  (await server.accept()).destroy();
  const again = await server.accept();
  const request = await again.register(1);
  assert.match(request.get("Authorization"), /username="alice3"/);
  again.respond(request, "200 OK", { headers: [["Contact", request.get("Contact")]] });
  // The other side is told where to find this one.
  const invite = await again.expect("INVITE sip:bob@bob.invalid;transport=ws ");
  again.respond(invite, "200 OK", { body: "v=0 answer" });
  await again.expect("ACK ");
  assert.deepEqual(states, ["reconnecting", "connected"]);
  assert.equal(call.over, false);

  // One that does not know the call any more ends it.
  const over = event(call, "bye");
  session.dispatchEvent(new Event("negotiationneeded"));
  again.respond(await again.expect("INVITE "), "481 Call/Transaction Does Not Exist");
  await again.expect("ACK ");
  await over;
  assert.match(call.reason, /has ended the conversation/);
});

test("a connection that does not come back is given up, at once where the password is wrong", async (t) => {
  for (const [refuse, expected] of [
    [async (there) => there.respond(await there.register(), "403 Forbidden"), (error) => error.code === 403],
    [async (there) => there.destroy(), (error) => error.kind === "lost"],
  ]) {
    const { server, sip, there } = await register(t, { reconnect: { timeout: 1000 } });
    there.destroy();
    await refuse(await server.accept());
    const error = await sip.closed;
    assert.ok(expected(error), String(error));
  }
});
