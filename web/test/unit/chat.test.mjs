import "./support/browser.mjs";
import assert from "node:assert/strict";
import { resolveObjectURL } from "node:buffer";
import { after } from "node:test";
import { Chat } from "../../chat.js";
import { MsrpSession } from "../../session.js";
import { Rendezvous } from "../../signalling/rendezvous.js";
import { MsrpClient, MsrpIncomingMessage, MsrpMessageEvent } from "../../webmsrp.js";
import { test, turns } from "./support/cases.mjs";
import { startServer } from "./support/server.mjs";
import { serveWebSocket } from "./support/websocket-server.mjs";

const server = await startServer({ after });

/** Waits until something has become true of a chat. */
function until(chat, condition) {
  return new Promise((resolve) => {
    const look = () => {
      if (!condition(chat)) return;
      chat.removeEventListener("change", look);
      resolve();
    };
    chat.addEventListener("change", look);
    look();
  });
}

const is = (status) => (chat) => chat.status === status;
const last = (chat) => chat.entries.at(-1);

/** A chat that has not joined, closed with the test. */
function make(t, name, options = {}) {
  const chat = new Chat({ url: server.relay, rendezvousURL: server.rendezvous, name, credentials: () => server.credentials(name), ...options });
  t.after(() => chat.close());
  return chat;
}

async function join(t, name, options) {
  const chat = make(t, name, options);
  await chat.join();
  assert.equal(chat.problem, "");
  assert.equal(chat.status, "ready");
  return chat;
}

/** Two people in a conversation. */
async function talk(t) {
  const [alice, bob] = [await join(t, "alice"), await join(t, "bob")];
  await alice.call("bob");
  await Promise.all([until(alice, is("talking")), until(bob, is("talking"))]);
  assert.equal(alice.peer, "bob");
  assert.equal(bob.peer, "alice");
  return { alice, bob };
}

/** A chat whose rendezvous is the test itself. */
async function watched(t, name, options = {}) {
  const meeting = await serveWebSocket(t);
  const chat = make(t, name, { rendezvousURL: meeting.url, ...options });
  const joining = chat.join();
  const there = await meeting.accept();
  await there.expect("register");
  return { chat, there, joining };
}

async function registered(t, name, options) {
  const { chat, there, joining } = await watched(t, name, options);
  there.send({ type: "registered", name });
  await joining;
  assert.equal(chat.status, "ready");
  return { chat, there };
}

/** A session of bob's that has no chat around it. */
async function bare(t) {
  const client = await MsrpClient.connect(server.relay, await server.credentials("bob"));
  t.after(() => client.close());
  return client.createSession();
}

/** Has something happen within a session's method, before its work or after. */
function within(t, method, before, behind = () => {}) {
  const original = MsrpSession.prototype[method];
  const once = t.mock.method(MsrpSession.prototype, method, async function (...args) {
    once.mock.restore();
    await before(this);
    const result = await original.apply(this, args);
    behind();
    return result;
  });
}

test("two people talk, and one hangs up", async (t) => {
  const { alice, bob } = await talk(t);
  alice.sendText("Hi");
  await until(bob, () => last(bob)?.state === "received");
  assert.equal(last(bob).text, "Hi");
  assert.equal(last(bob).direction, "in");
  bob.sendText("Hello");
  await until(alice, () => last(alice)?.text === "Hello");
  await until(bob, () => last(bob).state === "delivered");
  assert.deepEqual(alice.entries.map(({ direction, kind }) => [direction, kind]), [["out", "text"], ["in", "text"]]);
  assert.equal(alice.connected, true);

  alice.hangUp();
  assert.equal(alice.status, "ready");
  assert.equal(alice.connected, false);
  await until(bob, is("ready"));
  assert.equal(last(bob).text, "alice ended the conversation.");
  alice.sendText("to nobody");
  assert.equal(alice.entries.length, 2);
});

test("pictures and files arrive, until the next conversation", async (t) => {
  const { alice, bob } = await talk(t);
  alice.sendFile(new File(["<svg/>"], "a.svg", { type: "image/svg+xml" }));
  alice.sendFile(new File(["text"], "b.txt", { type: "text/plain" }));
  await until(bob, () => bob.entries.length === 2 && bob.entries.every(({ state }) => state === "received"));
  const [picture, file] = bob.entries;
  assert.deepEqual([picture.kind, picture.name, picture.size, picture.done], ["image", "a.svg", 6, 6]);
  assert.deepEqual([file.kind, file.name, file.type], ["file", "b.txt", "text/plain"]);
  assert.equal(await resolveObjectURL(file.url).text(), "text");
  await until(alice, () => alice.entries.every(({ state }) => state === "delivered"));
  assert.deepEqual(alice.entries.map(({ kind, abort }) => [kind, abort]), [["image", undefined], ["file", undefined]]);
  alice.hangUp();
  await until(bob, is("ready"));
  assert.notEqual(resolveObjectURL(file.url), undefined, "it is still to be seen");
  await bob.call("alice");
  assert.deepEqual(bob.entries, []);
  assert.equal(resolveObjectURL(file.url), undefined);
});

/** A file that takes a while, so that there is time to stop it. */
const long = () => new File([new Uint8Array(16 << 20)], "long.bin");

test("who sends a file may stop it", async (t) => {
  const { alice, bob } = await talk(t);
  alice.sendFile(long());
  await until(bob, () => last(bob)?.done > 0);
  last(alice).abort();
  assert.equal(last(alice).state, "failed");
  assert.equal(last(alice).error, "Sending was stopped.");
  await until(bob, () => last(bob).state === "failed");
  assert.notEqual(last(bob).error, "");
  alice.sendText("still there");
  await until(bob, () => last(bob).text === "still there");
});

test("who gets a file may stop it", async (t) => {
  const { alice, bob } = await talk(t);
  alice.sendFile(long());
  await until(bob, () => last(bob)?.done > 0);
  last(bob).abort();
  assert.equal(last(bob).state, "failed");
  assert.equal(last(bob).error, "Stopped.");
  await until(alice, () => last(alice).state === "failed");
  assert.match(last(alice).error, /does not want/);
  await turns();
  assert.equal(last(bob).state, "failed");
  assert.equal(last(bob).error, "Stopped.");
});

test("who is not there or talks to another is not reached", async (t) => {
  const carol = await join(t, "carol");
  await carol.call("nobody");
  assert.equal(carol.status, "ready");
  assert.equal(carol.problem, "nobody is not here.");
  await talk(t);
  await carol.call("bob");
  assert.equal(carol.status, "ready");
  assert.equal(carol.problem, "bob is busy.");
});

test("a name is in one place at a time", async (t) => {
  const first = await join(t, "alice");
  await join(t, "alice");
  await until(first, is("offline"));
  assert.equal(first.problem, "alice was opened in another place.");
});

test("what fails when joining is told, and may be tried again", async (t) => {
  let right = false;
  const chat = make(t, "alice", {
    credentials: async () => (right ? server.credentials("alice") : { username: "alice", password: "wrong" }),
  });
  await chat.join();
  assert.equal(chat.status, "offline");
  assert.match(chat.problem, /^Wrong username or password\./);
  right = true;
  await chat.join();
  assert.equal(chat.status, "ready");
  assert.equal(chat.problem, "");
});

test("closing gives everything back, and is final", async (t) => {
  const { alice, bob } = await talk(t);
  alice.sendFile(new File(["x"], "x.txt"));
  const { url } = last(alice);
  assert.notEqual(resolveObjectURL(url), undefined);
  alice.close();
  assert.equal(alice.status, "offline");
  assert.equal(resolveObjectURL(url), undefined);
  await until(bob, is("ready"));
  await alice.join();
  assert.equal(alice.status, "offline");
});

test("closing while joining leaves nothing behind", async (t) => {
  const { chat, there, joining } = await watched(t, "alice");
  chat.close();
  there.send({ type: "registered", name: "alice" });
  await joining;
  await there.closed;
  assert.equal(chat.status, "offline");
});

test("closing just when everything is there leaves nothing behind", async (t) => {
  const { connect } = Rendezvous;
  let chat;
  t.mock.method(Rendezvous, "connect", async function (...args) {
    const rendezvous = await connect.apply(Rendezvous, args);
    chat.close();
    return rendezvous;
  });
  const { there, joining, ...made } = await watched(t, "alice");
  chat = made.chat;
  there.send({ type: "registered", name: "alice" });
  await joining;
  await there.closed;
  assert.equal(chat.status, "offline");
});

test("a relay that is lost while joining ends that, and its reason stays", async (t) => {
  const at = await startServer(t);
  const { chat, there, joining } = await watched(t, "alice", { url: at.relay, credentials: () => at.credentials("alice"), reconnect: false });
  await at.crash();
  await until(chat, is("offline"));
  const { problem } = chat;
  assert.match(problem, /^The connection was lost\./);
  there.send({ type: "registered", name: "alice" });
  await joining;
  await there.closed;
  assert.equal(chat.status, "offline");
  assert.equal(chat.problem, problem);
});

test("a relay that is lost while calling ends that, and its reason stays", async (t) => {
  const at = await startServer(t);
  const { chat, there } = await registered(t, "alice", { url: at.relay, credentials: () => at.credentials("alice"), reconnect: false });
  const calling = chat.call("bob");
  const { call } = await there.expect("offer");
  await at.crash();
  await until(chat, is("offline"));
  await calling;
  assert.match(chat.problem, /^The connection was lost\./);
  assert.equal((await there.expect("bye")).call, call);
});

test("a relay that is lost while talking is noted", async (t) => {
  const at = await startServer(t);
  const options = (name) => ({ url: at.relay, rendezvousURL: at.rendezvous, credentials: () => at.credentials(name), reconnect: false });
  const [alice, bob] = [await join(t, "alice", options("alice")), await join(t, "bob", options("bob"))];
  await alice.call("bob");
  await until(bob, is("talking"));
  await at.crash();
  for (const chat of [alice, bob]) {
    await until(chat, is("offline"));
    assert.match(chat.problem, /lost/);
    assert.match(last(chat).text, /lost/);
  }
});

test("hanging up before the answer tells the other side", async (t) => {
  const { chat, there } = await registered(t, "alice");
  const calling = chat.call("bob");
  const { call } = await there.expect("offer");
  chat.hangUp();
  await calling;
  assert.equal(chat.status, "ready");
  assert.equal(chat.problem, "");
  assert.equal((await there.expect("bye")).call, call);
});

test("hanging up just after the answer ends the call too", async (t) => {
  const { chat, there } = await registered(t, "alice");
  const bob = await bare(t);
  const calling = chat.call("bob");
  const { call, sdp } = await there.expect("offer");
  await bob.setRemoteDescription({ type: "offer", sdp });
  const answer = await bob.createAnswer();
  within(t, "setRemoteDescription", () => chat.hangUp());
  there.send({ type: "answer", call, sdp: answer.sdp });
  await calling;
  assert.equal(chat.status, "ready");
  assert.equal(chat.problem, "");
  const bye = await there.expect("bye");
  assert.equal(bye.call, call);
  assert.equal(bye.reason, "hung up");
});

for (const [when, before, behind] of [
  ["while a call is being answered", true, false],
  ["just before the answer goes", false, true],
]) {
  test(`hanging up ${when} declines it`, async (t) => {
    const { chat, there } = await registered(t, "bob");
    const caller = await bare(t);
    const { sdp } = await caller.createOffer();
    within(t, "createAnswer", () => before && chat.hangUp(), () => behind && chat.hangUp());
    there.send({ type: "offer", call: "c1", from: "alice", sdp });
    const refused = await there.expect("refuse");
    assert.equal(refused.code, 603);
    await turns();
    assert.equal(chat.status, "ready");
    assert.equal(chat.problem, "");
  });
}

test("a caller who gives up while answered is noted", async (t) => {
  const { chat, there } = await registered(t, "bob");
  const caller = await bare(t);
  const { sdp } = await caller.createOffer();
  within(t, "createAnswer", async () => {
    there.send({ type: "bye", call: "c1", reason: "canceled" });
    // The chat asks the rendezvous nothing meanwhile; another call shows that
    // the first one's end has arrived.
    there.send({ type: "offer", call: "c2", from: "carol", sdp });
    await there.expect("refuse");
  });
  there.send({ type: "offer", call: "c1", from: "alice", sdp });
  await until(chat, (c) => last(c) !== undefined);
  assert.equal(last(chat).text, "The conversation ended: canceled.");
  await until(chat, is("ready"));
});

test("an answer that cannot be used ends the call for both", async (t) => {
  const { chat, there } = await registered(t, "alice");
  const calling = chat.call("bob");
  const { call } = await there.expect("offer");
  there.send({ type: "answer", call, sdp: "nonsense" });
  await calling;
  assert.equal(chat.status, "ready");
  assert.notEqual(chat.problem, "");
  assert.equal((await there.expect("bye")).call, call);
});

test("an offer that cannot be used is refused with the reason", async (t) => {
  const { chat, there } = await registered(t, "bob");
  there.send({ type: "offer", call: "c1", from: "alice", sdp: "nonsense" });
  const refused = await there.expect("refuse");
  assert.equal(refused.code, 488);
  assert.equal(refused.reason, chat.problem);
  await until(chat, is("ready"));
});

test("a message that is faster than the answer is not missed", async (t) => {
  const { chat, there } = await registered(t, "alice");
  const bob = await bare(t);
  const calling = chat.call("bob");
  const { call, sdp } = await there.expect("offer");
  await bob.setRemoteDescription({ type: "offer", sdp });
  const answer = await bob.createAnswer();
  within(t, "setRemoteDescription", (session) => {
    const about = { messageId: "m1", contentType: "text/plain", disposition: "", from: "", to: "" };
    const data = new TextEncoder().encode("already");
    session.dispatchEvent(new MsrpMessageEvent(new MsrpIncomingMessage(undefined, { ...about, data })));
  });
  there.send({ type: "answer", call, sdp: answer.sdp });
  await calling;
  await until(chat, () => chat.entries.some(({ text }) => text === "already"));
});
