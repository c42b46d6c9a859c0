import "./support/browser.mjs";
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { MsrpError } from "../../errors.js";
import { Rendezvous } from "../../signalling/rendezvous.js";
import { event, test, turns } from "./support/cases.mjs";
import { serveWebSocket } from "./support/websocket-server.mjs";

/** alice at a rendezvous, and the server's side of it. */
async function register(t, options = {}) {
  const server = await serveWebSocket(t);
  const connecting = Rendezvous.connect(server.url, { name: "alice", ...options });
  const accept = async () => {
    const there = await server.accept();
    const registration = await there.expect("register");
    there.send({ type: "registered", name: "alice" });
    return Object.assign(there, { registration });
  };
  const there = await accept();
  const rendezvous = await connecting;
  t.after(() => rendezvous.close());
  return { rendezvous, there, accept };
}

/** A call of alice's to bob that was answered. */
async function answered(t, options) {
  const { rendezvous, there, accept } = await register(t, options);
  const calling = rendezvous.call("bob", "v=0 offer");
  const offer = await there.expect("offer");
  there.send({ type: "answer", call: offer.call, sdp: "v=0 answer" });
  return { rendezvous, there, accept, ...(await calling), offer };
}

/** A call of bob's that alice has yet to answer. */
async function rung(t, id = "c1") {
  const { rendezvous, there } = await register(t);
  const ringing = event(rendezvous, "incoming");
  there.send({ type: "offer", call: id, from: "bob", sdp: "v=0 offer" });
  return { rendezvous, there, call: (await ringing).call };
}

/** How many timers there are. */
const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;

test("a name is registered with its credentials", async (t) => {
  const server = await serveWebSocket(t);
  const connecting = Rendezvous.connect(server.url, { name: " alice ", username: "u", password: "p" });
  const there = await server.accept();
  assert.equal(there.protocol, "webmsrp-rendezvous");
  assert.deepEqual(await there.expect("register"), { type: "register", name: " alice ", username: "u", password: "p", resumes: true });
  there.send({ type: "registered", name: "alice" });
  const rendezvous = await connecting;
  t.after(() => rendezvous.close());
  assert.equal(rendezvous.name, "alice", "as the server has it");
});

test("the URL may be of the page's kind", async (t) => {
  const server = await serveWebSocket(t);
  const connecting = Rendezvous.connect(new URL(server.url.replace("ws", "http")), { name: "alice" });
  (await server.accept()).send({ type: "registered", name: "alice" });
  const rendezvous = await connecting;
  t.after(() => rendezvous.close());
});

for (const [code, expected] of [
  [401, /^Wrong username or password\./],
  [403, /^alice is not your name: these credentials are for bob\.$/],
  [400, /./],
]) {
  test(`a registration that is refused with ${code} says why and hangs up`, async (t) => {
    const server = await serveWebSocket(t);
    const connecting = Rendezvous.connect(server.url, { name: "alice" });
    const there = await server.accept();
    await there.expect("register");
    there.send({ type: "error", code, reason: "these credentials are for bob" });
    await assert.rejects(connecting, (error) => error instanceof MsrpError && error.code === code && expected.test(error.message));
    await there.closed;
  });
}

test("a rendezvous that is not there says where it was looked for", async (t) => {
  const server = await serveWebSocket(t);
  const connecting = Rendezvous.connect(server.url, { name: "alice" });
  (await server.accept()).destroy();
  await assert.rejects(connecting, (error) => error instanceof MsrpError && error.message.includes(server.url) && /\?$/.test(error.message));
});

test("a registration can be given up, at any time until it stands", async (t) => {
  const server = await serveWebSocket(t);
  const options = (signal) => ({ name: "alice", signal });
  await assert.rejects(Rendezvous.connect(server.url, options(AbortSignal.abort())), { name: "AbortError" });

  const before = new AbortController();
  const opening = Rendezvous.connect(server.url, options(before.signal));
  before.abort();
  await assert.rejects(opening, { name: "AbortError" });

  const during = new AbortController();
  const registering = Rendezvous.connect(server.url, options(during.signal));
  const there = await server.accept();
  await there.expect("register");
  during.abort();
  await assert.rejects(registering, { name: "AbortError" });
  await there.closed;

  const after = new AbortController();
  const connecting = Rendezvous.connect(server.url, options(after.signal));
  const last = await server.accept();
  last.send({ type: "registered", name: "alice" });
  const rendezvous = await connecting;
  assert.equal(getEventListeners(after.signal, "abort").length, 0);
  rendezvous.close();
});

test("a call is answered", async (t) => {
  const { call, answer, offer } = await answered(t);
  assert.equal(offer.to, "bob");
  assert.equal(offer.sdp, "v=0 offer");
  assert.match(offer.call, /^.{1,64}$/);
  assert.equal(answer, "v=0 answer");
  assert.equal(call.id, offer.call);
  assert.equal(call.peer, "bob");
  assert.equal(call.over, false);
});

for (const [code, expected] of [
  [404, "bob is not here."],
  [408, "bob does not answer."],
  [486, "bob is busy."],
  [488, "bob cannot accept this conversation: no common media."],
  [503, "bob cannot be reached at the moment."],
  [603, "bob declined."],
  [429, "The server slows this down: no common media."],
]) {
  test(`a call that is refused with ${code} says who and why`, async (t) => {
    const { rendezvous, there } = await register(t);
    const calling = rendezvous.call("bob", "v=0");
    const { call } = await there.expect("offer");
    there.send({ type: "refuse", call, code, reason: "no common media" });
    await assert.rejects(calling, (error) => {
      assert.ok(error instanceof MsrpError);
      assert.equal(error.code, code);
      assert.equal(error.message, expected);
      return true;
    });
  });
}

for (const [reason, expected] of [
  ["bob is gone", "The call ended: bob is gone."],
  ["Not now!", "The call ended: Not now!"],
  [undefined, "The call ended."],
]) {
  test(`a call that ends before its answer (${reason}) says so`, async (t) => {
    const { rendezvous, there } = await register(t);
    const calling = rendezvous.call("bob", "v=0");
    const { call } = await there.expect("offer");
    there.send({ type: "bye", call, reason });
    await assert.rejects(calling, (error) => {
      assert.ok(error instanceof MsrpError);
      assert.equal(error.message, expected);
      return true;
    });
  });
}

test("a refusal without words has none", async (t) => {
  const { rendezvous, there } = await register(t);
  const calling = rendezvous.call("bob", "v=0");
  const { call } = await there.expect("offer");
  there.send({ type: "refuse", call, code: 488 });
  await assert.rejects(calling, { message: "bob cannot accept this conversation.", code: 488 });
});

test("a call that is given up tells the other side", async (t) => {
  const { rendezvous, there } = await register(t);
  await assert.rejects(rendezvous.call("bob", "v=0", { signal: AbortSignal.abort() }), { name: "AbortError" });
  const controller = new AbortController();
  const calling = rendezvous.call("bob", "v=0", { signal: controller.signal });
  const { call } = await there.expect("offer"); // the first one: the other was never made
  controller.abort();
  await assert.rejects(calling, { name: "AbortError" });
  assert.equal((await there.expect("bye")).call, call);
});

test("a signal no longer counts once the call is decided", async (t) => {
  const { rendezvous, there } = await register(t);
  for (const decision of [{ type: "answer", sdp: "v=0" }, { type: "refuse", code: 603 }]) {
    const { signal } = new AbortController();
    const calling = rendezvous.call("bob", "v=0", { signal });
    assert.equal(getEventListeners(signal, "abort").length, 1);
    const { call } = await there.expect("offer");
    there.send({ ...decision, call });
    await calling.catch(() => {});
    assert.equal(getEventListeners(signal, "abort").length, 0);
  }
});

test("the other side ends a call", async (t) => {
  const { call, there, offer } = await answered(t);
  const ended = event(call, "bye");
  there.send({ type: "bye", call: offer.call, reason: "hung up" });
  await ended;
  assert.equal(call.reason, "hung up");
  assert.equal(call.over, true);
});

test("this side ends a call, once", async (t) => {
  const { call, there, rendezvous } = await answered(t);
  let byes = 0;
  call.addEventListener("bye", () => byes++);
  call.bye("hung up");
  call.bye("again");
  call.refuse(603, "late");
  rendezvous.close();
  assert.deepEqual(await there.receive(), { type: "bye", call: call.id, to: "bob", reason: "hung up" });
  assert.equal(await there.receive(), undefined, "nothing but the end follows");
  assert.equal(byes, 1);
  assert.equal(call.reason, "hung up");
});

test("an incoming call is answered", async (t) => {
  const { call, there } = await rung(t);
  assert.equal(call.peer, "bob");
  assert.equal(call.offer, "v=0 offer");
  call.answer("v=0 answer");
  assert.deepEqual(await there.receive(), { type: "answer", call: "c1", sdp: "v=0 answer" });
  const ended = event(call, "bye");
  there.send({ type: "bye", call: "c1", reason: "hung up" });
  await ended;
});

test("an incoming call is refused, which is its end", async (t) => {
  const { call, there, rendezvous } = await rung(t);
  call.refuse(603, "not today");
  assert.equal(call.over, true);
  call.bye();
  call.answer("v=0 too late");
  rendezvous.close();
  assert.deepEqual(await there.receive(), { type: "refuse", call: "c1", code: 603, reason: "not today" });
  assert.equal(await there.receive(), undefined, "nothing but the end follows");
});

test("a caller may give up", async (t) => {
  const { call, there } = await rung(t);
  const ended = event(call, "bye");
  there.send({ type: "bye", call: "c1", reason: "canceled" });
  await ended;
  assert.equal(call.reason, "canceled");
});

test("who has no listener for calls is busy", async (t) => {
  const { there } = await register(t);
  there.send({ type: "offer", call: "c1", from: "bob", sdp: "v=0" });
  const refused = await there.expect("refuse");
  assert.equal(refused.call, "c1");
  assert.equal(refused.code, 486);
});

test("messages for calls that are not there are ignored", async (t) => {
  const { there, rendezvous } = await register(t);
  for (const type of ["answer", "refuse", "bye"]) there.send({ type, call: "nothing", sdp: "v=0", code: 486 });
  const calling = rendezvous.call("bob", "v=0");
  const { call } = await there.expect("offer");
  there.send({ type: "answer", call, sdp: "v=0 answer" });
  assert.equal((await calling).answer, "v=0 answer");
});

test("a lost connection ends the calls and the registration, if it is not to come back", async (t) => {
  const { rendezvous, there, call } = await answered(t, { reconnect: false });
  const pending = rendezvous.call("carol", "v=0");
  pending.catch(() => {});
  await there.expect("offer");
  const closed = event(rendezvous, "close");
  there.destroy();
  await closed;
  const reason = await rendezvous.closed;
  assert.equal(reason.kind, "lost");
  assert.equal(call.over, true);
  assert.match(call.reason, /lost/);
  await assert.rejects(pending, (error) => error === reason);
  await assert.rejects(rendezvous.call("bob", "v=0"), (error) => error === reason);
});

test("a lost connection is replaced, and only the calls that were answered go on", async (t) => {
  const { rendezvous, there, accept, call } = await answered(t, { credentials: () => ({ username: "alice", password: "fresh" }) });
  const states = [];
  rendezvous.addEventListener("connectionstatechange", () => states.push(rendezvous.connectionState));
  const pending = rendezvous.call("carol", "v=0");
  pending.catch(() => {});
  await there.expect("offer");
  there.destroy();
  await assert.rejects(pending, { kind: "lost" });
  const again = await accept();
  assert.equal(again.registration.password, "fresh");
  await event(rendezvous, "connectionstatechange");
  assert.deepEqual(states, ["reconnecting", "connected"]);
  assert.equal(call.over, false);
  call.bye("done");
  assert.equal((await again.expect("bye")).call, call.id);
});

test("a call that is made while the connection is lost waits for another, or fails with it", async (t) => {
  const { rendezvous, there, accept } = await register(t);
  const lost = event(rendezvous, "connectionstatechange");
  there.destroy();
  await lost;
  const controller = new AbortController();
  const canceled = rendezvous.call("carol", "v=0", { signal: controller.signal });
  const calling = rendezvous.call("bob", "v=0 offer");
  controller.abort();
  await assert.rejects(canceled, { name: "AbortError" });
  const again = await accept();
  const { call, to } = await again.expect("offer");
  assert.equal(to, "bob");
  again.send({ type: "answer", call, sdp: "v=0 answer" });
  const established = await calling;
  assert.equal(established.answer, "v=0 answer");
  established.call.bye("done");
  assert.equal((await again.receive()).type, "bye", "nothing else was said");
  again.destroy();
  await event(rendezvous, "connectionstatechange");
  const hopeless = rendezvous.call("bob", "v=0 offer");
  rendezvous.close();
  await assert.rejects(hopeless, { kind: "closed" });
});

test("a rendezvous that is closed as soon as its connection is lost does not come back", async (t) => {
  const { rendezvous, there } = await register(t);
  const states = [];
  rendezvous.addEventListener("connectionstatechange", () => {
    states.push(rendezvous.connectionState);
    rendezvous.close();
  });
  const before = timers();
  there.destroy();
  await rendezvous.closed;
  await turns();
  assert.deepEqual(states, ["reconnecting", "closed"]);
  assert.ok(timers() < before, "nothing is tried any more");
});

test("the end of a call is told once there is a connection again", async (t) => {
  const { rendezvous, there, accept, call } = await answered(t);
  const lost = event(rendezvous, "connectionstatechange");
  there.destroy();
  await lost;
  call.bye("hung up");
  assert.deepEqual(await (await accept()).expect("bye"), { type: "bye", call: call.id, to: "bob", reason: "hung up" });
});

test("a server that starts anew is come back to", async (t) => {
  const { rendezvous, there, accept, call } = await answered(t);
  there.send({ type: "error", code: 503, reason: "the server stops" });
  await accept();
  await event(rendezvous, "connectionstatechange");
  assert.equal(call.over, false);
});

/** Enough of a session for exchanges: it notes what it is given. */
class Exchanging extends EventTarget {
  connectionState = "disconnected";
  given = [];
  #offers = 0;
  createOffer = async () => ({ type: "offer", sdp: `offer ${++this.#offers}` });
  createAnswer = async () => ({ type: "answer", sdp: `answer to ${this.given.at(-1).sdp}` });
  setRemoteDescription = async (description) => void this.given.push(description);
  need = () => this.dispatchEvent(new Event("negotiationneeded"));
}

test("a session that needs another exchange is offered again, until there is an answer", async (t) => {
  const { there, accept, call } = await answered(t);
  const session = new Exchanging();
  call.keep(session);
  session.need();
  assert.deepEqual(await there.expect("offer"), { type: "offer", call: call.id, to: "bob", sdp: "offer 1", again: 1 });
  there.send({ type: "refuse", call: call.id, code: 404, reason: "bob is not here", again: 1 });
  assert.deepEqual(await there.expect("offer"), { type: "offer", call: call.id, to: "bob", sdp: "offer 2", again: 2 });
  there.destroy(); // with what was said there
  const again = await accept();
  assert.deepEqual(await again.expect("offer"), { type: "offer", call: call.id, to: "bob", sdp: "offer 3", again: 3 });
  again.send({ type: "answer", call: call.id, sdp: "late", again: 2 });
  again.send({ type: "answer", call: call.id, sdp: "yes", again: 3 });
  await turns();
  assert.deepEqual(session.given, [{ type: "answer", sdp: "yes" }]);
  assert.equal(call.over, false);
});

test("the other side's offers are answered, and the caller's counts where both make one", async (t) => {
  const { there, call } = await answered(t);
  const session = new Exchanging();
  call.keep(session);
  there.send({ type: "offer", call: call.id, from: "bob", sdp: "bob's", again: 1 });
  assert.deepEqual(await there.expect("answer"), { type: "answer", call: call.id, sdp: "answer to bob's", again: 1 });
  session.need();
  await there.expect("offer");
  there.send({ type: "offer", call: call.id, from: "bob", sdp: "bob's other", again: 2 });
  assert.deepEqual(await there.expect("offer"), { type: "offer", call: call.id, to: "bob", sdp: "offer 1", again: 2 });
  assert.equal(session.given.length, 1);
});

test("who was called gives its own offer up for the caller's", async (t) => {
  const { there, call } = await rung(t);
  const session = new Exchanging();
  call.answer("v=0 answer");
  call.keep(session);
  await there.expect("answer");
  session.need();
  await there.expect("offer");
  there.send({ type: "offer", call: call.id, from: "bob", sdp: "bob's", again: 1 });
  assert.deepEqual(await there.expect("answer"), { type: "answer", call: call.id, sdp: "answer to bob's", again: 1 });
  there.send({ type: "answer", call: call.id, sdp: "to what was given up", again: 1 });
  await turns();
  assert.deepEqual(session.given, [{ type: "offer", sdp: "bob's" }]);
});

test("an offer that is given up leaves no timer, which would refuse the next one", async (t) => {
  const { there, call } = await answered(t);
  const session = new Exchanging();
  call.keep(session);
  const before = timers();
  session.need();
  await there.expect("offer");
  there.send({ type: "offer", call: call.id, from: "bob", sdp: "bob's", again: 1 });
  await there.expect("offer");
  assert.equal(timers(), before + 1);
  session.need();
  await there.expect("offer");
  assert.equal(timers(), before + 1);
  call.bye("done");
  await turns();
  assert.equal(timers(), before);
});

test("nobody else ends a call", async (t) => {
  const { there, call } = await answered(t);
  for (const from of ["mallory", "bob"]) {
    assert.equal(call.over, false);
    there.send({ type: "bye", call: call.id, from, reason: from });
    there.send({ type: "offer", call: "another", from, sdp: "v=0", again: 1 });
    await there.expect("refuse");
  }
  assert.equal(call.reason, "bob");
});

test("a call that is not known any more ends on the other side", async (t) => {
  const { there, call } = await answered(t);
  there.send({ type: "offer", call: "another", from: "bob", sdp: "v=0", again: 1 });
  assert.equal((await there.expect("refuse")).code, 481);
  const session = new Exchanging();
  call.keep(session);
  session.need();
  await there.expect("offer");
  const over = event(call, "bye");
  there.send({ type: "refuse", call: call.id, code: 481, reason: "no such call", again: 1 });
  await over;
  assert.equal(call.reason, "no such call");
});

test("a name that was opened elsewhere is told so", async (t) => {
  const { rendezvous, there } = await register(t);
  there.send({ type: "error", code: 409, reason: "alice was registered in another place" });
  const reason = await rendezvous.closed;
  assert.equal(reason.code, 409);
  assert.equal(reason.message, "alice was opened in another place.");
  await there.closed;
});

test("closing ends the calls without a reason for itself", async (t) => {
  const { rendezvous, there, call } = await answered(t);
  let closes = 0;
  rendezvous.addEventListener("close", () => closes++);
  const pending = rendezvous.call("carol", "v=0");
  rendezvous.close();
  rendezvous.close();
  assert.equal(await rendezvous.closed, undefined);
  assert.equal(closes, 1);
  assert.equal(call.over, true);
  await assert.rejects(pending, { kind: "closed" });
  await there.closed;
});

test("a call after close is refused rather than forgotten", async (t) => {
  const { rendezvous } = await register(t);
  rendezvous.close();
  await assert.rejects(rendezvous.call("bob", "v=0"), (error) => error instanceof MsrpError && error.kind === "closed");
});

test("a call from within the end of another is refused too", async (t) => {
  const { rendezvous, call } = await answered(t);
  const again = event(call, "bye").then(() => rendezvous.call("bob", "v=0"));
  rendezvous.close();
  await assert.rejects(again, { kind: "closed" });
});
