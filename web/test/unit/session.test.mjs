import "./support/browser.mjs";
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { MsrpError } from "../../errors.js";
import { MsrpSession } from "../../session.js";
import { event, test, turns } from "./support/cases.mjs";
import { scriptedCore } from "./support/scripted.mjs";

const client = 5;
const offer = { type: "offer", sdp: "v=0 offer" };
const answer = { type: "answer", sdp: "v=0 answer" };
const lost = { message: "msrp: the connection was lost", kind: "lost" };

/** A session, its number, and the scripted worker that it is at. */
async function begin(t, credentials = async () => ({}), options = {}, link = undefined) {
  const { core, worker } = await scriptedCore(t);
  const session = new MsrpSession(core, client, options, credentials, link);
  const request = await worker.serve("session");
  assert.equal(request.client, client);
  const state = (name, error) => worker.say({ event: "state", session: request.session, state: name, ...(error && { error }) });
  return { core, worker, session, number: request.session, request, state };
}

/** A session that made its offer. */
async function offered(t) {
  const begun = await begin(t);
  const offering = begun.session.createOffer();
  await begun.worker.serve("offer", offer.sdp);
  await offering;
  return begun;
}

test("an offer and its answer, with credentials asked for each time", async (t) => {
  let asked = 0;
  const { session, worker, number } = await begin(t, async () => ({ username: `alice${++asked}`, password: "secret" }));
  const offering = session.createOffer();
  const request = await worker.serve("offer", offer.sdp);
  assert.deepEqual(await offering, offer);
  assert.equal(request.session, number);
  assert.equal(request.username, "alice1");
  assert.equal(request.password, "secret");
  const accepting = session.setRemoteDescription(answer);
  assert.equal((await worker.serve("accept")).sdp, answer.sdp);
  await accepting;
  const again = session.createOffer();
  assert.equal((await worker.serve("offer", offer.sdp)).username, "alice2");
  await again;
});

test("an answer is made to the offer that was given", async (t) => {
  const { session, worker } = await begin(t);
  await session.setRemoteDescription(offer);
  const answering = session.createAnswer();
  assert.equal((await worker.serve("answer", answer.sdp)).sdp, offer.sdp);
  assert.deepEqual(await answering, answer);
});

/** What the core reads of the offer of a file, of which the beginning is there. */
const told = { name: "a.txt", type: "text/plain", size: 9, offset: 5, end: 9, asked: false };

/** A session that was offered the rest of a file, which goes to a place whose opening is asked for. */
async function takingFile(t) {
  const begun = await begin(t);
  const { session, worker } = begun;
  let file;
  session.addEventListener("fileoffer", ({ offer }) => (file = offer.accept({ kind: "file" })));
  const taking = session.setRemoteDescription(offer);
  await worker.serve("offeredfile", told);
  await taking;
  return { ...begun, file, opening: await worker.request("opensave"), answering: session.createAnswer() };
}

test("the peer is answered when what stands of its file was read", async (t) => {
  const { worker, opening, answering } = await takingFile(t);
  assert.equal(opening.begun, true);
  const next = worker.requests.next();
  let early = true;
  next.then(() => assert.ok(!early));
  await turns();
  early = false;
  worker.say({ id: opening.id, result: null });
  const { id, op } = await next;
  assert.equal(op, "takefile");
  worker.say({ id, result: null });
  await worker.serve("answer", answer.sdp);
  assert.deepEqual(await answering, answer);
});

test("a file that cannot be written is not taken", async (t) => {
  const { session, worker, file, opening, answering } = await takingFile(t);
  worker.say({ id: opening.id, error: { message: "There is no room.", kind: "storage" } });
  await worker.serve("dropsave");
  await assert.rejects(file.verified, { kind: "storage" });
  await worker.serve("refuse", answer.sdp);
  assert.deepEqual(await answering, answer);
  assert.equal(session.connectionState, "closed");
});

/** A session that has asked for a file, which began to come before the answer. */
async function asking(t) {
  const begun = await begin(t);
  const { session, worker, number } = begun;
  const file = session.receiveFile({ name: "a.txt" });
  const { op, id, ...wanted } = await worker.serve("offerfile");
  assert.deepEqual(wanted, { session: number, asked: true, name: "a.txt", type: "", size: -1, offset: 0 });
  const offering = session.createOffer();
  await worker.serve("offer", offer.sdp);
  await offering;
  worker.say({ event: "message", session: number, messageId: "m", contentType: "text/plain", disposition: "", from: "", to: "", incoming: 3, size: 9 });
  await turns();
  return { ...begun, file };
}

test("what comes of a file waits for what it is", async (t) => {
  const { session, worker, file } = await asking(t);
  const accepting = session.setRemoteDescription(answer);
  await worker.serve("accept", { ...told, offset: 0, "sha-1": "aa" });
  assert.equal((await worker.serve("opensave")).algorithm, "sha-1");
  await accepting;
  const { incoming, offset, end } = await worker.serve("save", 9);
  assert.deepEqual([incoming, offset, end], [3, 0, 9]);
  assert.equal((await worker.serve("finishsave")).hash, "AA");
  await file.verified;
  assert.deepEqual([file.name, file.type, file.size], ["a.txt", "text/plain", 9]);
});

test("what comes of a file before an answer that never comes is dropped", async (t) => {
  const { session, worker, file } = await asking(t);
  session.close();
  await assert.rejects(file.verified, { kind: "closed" });
  for (const wanted of ["pause", "close", "drop"]) await worker.serve(wanted);
});

test("an answer to nothing says what to do first", async (t) => {
  const { session } = await begin(t);
  await assert.rejects(session.createAnswer(), (error) => error instanceof MsrpError && error.message.includes("setRemoteDescription"));
});

test("what is no description is refused", async (t) => {
  const { session, worker } = await begin(t);
  await assert.rejects(session.setRemoteDescription({ type: "offer" }), TypeError);
  await assert.rejects(session.setRemoteDescription({ type: "pranswer", sdp: "v=0" }), /"pranswer"/);
  assert.equal(worker.requests.length, 0);
});

test("a nickname is the room's to give", async (t) => {
  const { session, worker, number } = await offered(t);
  await assert.rejects(session.setNickname("Alice"), /no chat room/);
  const accepting = session.setRemoteDescription({ type: "answer", sdp: "v=0\r\na=chatroom:nickname private-messages\r\n" });
  await worker.serve("accept");
  await accepting;
  const asking = session.setNickname("Alice");
  const request = await worker.serve("nickname");
  assert.deepEqual([request.session, request.name], [number, "Alice"]);
  await asking;
  const again = session.setNickname("Bob");
  await worker.refuse("nickname", { message: "msrp: 425", code: 425, kind: "status" });
  await assert.rejects(again, (error) => error.code === 425 && /already/.test(error.message));
  const reason = new Error("changed my mind");
  await assert.rejects(session.setNickname("Carol", { signal: AbortSignal.abort(reason) }), reason);
  assert.equal(worker.requests.length, 0);
});

test("nothing is traced before somebody listens", async (t) => {
  const { session, worker, number } = await begin(t);
  session.addEventListener("message", () => {});
  assert.equal(worker.requests.length, 0);
  const coming = event(session, "trace");
  session.addEventListener("trace", () => {});
  assert.equal((await worker.serve("trace")).session, number);
  assert.equal(worker.requests.length, 0);
  worker.say({ event: "trace", session: number, outgoing: false, size: 0, data: new TextEncoder().encode("MSRP d93kswow 200 OK\r\n") });
  const { outgoing, method, code, transactionId, text } = await coming;
  assert.deepEqual([outgoing, method, code, transactionId, text], [false, null, 200, "d93kswow", "MSRP d93kswow 200 OK\r\n"]);
});

test("an offer that the relay refuses leaves the session to try again", async (t) => {
  const { session, worker } = await begin(t);
  const failing = session.createOffer();
  await worker.refuse("offer", { message: "msrp: 401", code: 401, kind: "status" });
  await assert.rejects(failing, { code: 401 });
  const trying = session.createOffer();
  await worker.serve("offer", offer.sdp);
  assert.deepEqual(await trying, offer);
});

test("credentials that cannot be had fail the offer with their reason", async (t) => {
  const reason = new Error("the login page is down");
  const { session, worker } = await begin(t, () => Promise.reject(reason));
  await assert.rejects(session.createOffer(), (error) => error === reason);
  assert.equal(worker.requests.length, 0);
});

test("an offer can be given up, even while credentials are asked for", async (t) => {
  const { session, worker } = await begin(t, () => new Promise(() => {}));
  await assert.rejects(session.createOffer({ signal: AbortSignal.abort() }), { name: "AbortError" });
  const controller = new AbortController();
  const offering = session.createOffer({ signal: controller.signal });
  controller.abort();
  await assert.rejects(offering, { name: "AbortError" });
  assert.equal(worker.requests.length, 0);
});

test("an offer that was given up while it waited does not take the place of a later one", async (t) => {
  let ready;
  const { session, worker } = await begin(t, () => new Promise((resolve) => (ready ??= resolve)));
  const controller = new AbortController();
  const offering = session.createOffer({ signal: controller.signal });
  await turns();
  controller.abort();
  await assert.rejects(offering, { name: "AbortError" });
  ready({});
  await turns();
  assert.equal(worker.requests.length, 0);
});

test("an offer that waits for a connection ends with its session", async (t) => {
  const link = { connected: () => new Promise(() => {}), connectionState: "reconnecting", patience: 1000 };
  const { session, worker } = await begin(t, undefined, undefined, link);
  const offering = session.createOffer();
  await turns();
  session.close();
  await assert.rejects(offering, { kind: "closed" });
  await worker.serve("close");
});

/** The link to a client that comes back for as long as that takes. */
const patient = { connected: async () => {}, connectionState: "connected", patience: 1000 };

test("what was sent for good is not sent again after the session has moved", async (t) => {
  const { session, worker, number } = await begin(t, undefined, undefined, patient);
  const offering = session.createOffer();
  await worker.serve("offer", offer.sdp);
  await offering;
  const [sure, unsure] = [session.send("sure", { successReport: false }), session.send("unsure")];
  for (const { messageId } of [sure, unsure]) {
    const { message, ...request } = await worker.serve("send");
    assert.equal(request.messageId, messageId);
    worker.say({ event: "progress", message, acknowledged: 6, sent: true, delivered: false });
  }
  worker.say({ event: "moved", session: number, generation: 1 });
  assert.equal((await worker.serve("send")).messageId, unsure.messageId);
  await sure._settled;
  assert.equal(sure.state, "sent");
  await turns();
  assert.equal(worker.requests.length, 0);
});

test("a session that has to move does so, though the peer's exchange has left it where it is", async (t) => {
  const { session, worker, number, state } = await begin(t, undefined, undefined, patient);
  let needed = 0;
  session.addEventListener("negotiationneeded", () => needed++);
  const offering = session.createOffer();
  await worker.serve("offer", offer.sdp);
  await offering;
  state("connected");
  const message = session.send("x");
  const request = await worker.serve("send");
  worker.say({ event: "progress", message: request.message, acknowledged: 1, sent: true, delivered: false, outlived: true, error: { message: "msrp: 408", code: 408, kind: "status" } });
  assert.equal(needed, 1);
  assert.equal(session.connectionState, "disconnected");
  for (const stays of [true, false]) {
    const moving = session.createOffer();
    assert.equal((await worker.serve("offer", offer.sdp)).renew, true);
    await moving;
    worker.say({ event: "agreed", session: number, left: 0, stays });
    assert.equal(needed, 2);
  }
  worker.say({ event: "moved", session: number, generation: 1 });
  assert.equal((await worker.serve("send")).messageId, message.messageId);
  state("connected");
  assert.equal(session.connectionState, "connected");
  session.close();
});

test("a token that lasts for years is not renewed at once", async (t) => {
  const { session, worker, number } = await begin(t, undefined, undefined, patient);
  const timer = t.mock.method(globalThis, "setTimeout");
  worker.say({ event: "agreed", session: number, left: 1000 * 86400 * 1000 });
  assert.equal(timer.mock.callCount(), 1);
  assert.ok(timer.mock.calls[0].arguments[1] < 2 ** 31, "what timers take");
  session.close();
});

test("what is sent before there is a session waits for it, in order", async (t) => {
  const { session, worker, number } = await begin(t);
  const messages = ["one", "two", "three"].map((text) => session.send(text));
  assert.equal(session.bufferedAmount, 11);
  await turns();
  assert.equal(worker.requests.length, 0);
  const offering = session.createOffer();
  await worker.serve("offer", offer.sdp);
  await offering;
  for (const text of ["one", "two", "three"]) {
    const request = await worker.serve("send");
    assert.equal(request.body, text);
    assert.equal(request.session, number);
  }
  assert.deepEqual(messages.map((message) => message.state), ["sending", "sending", "sending"]);
});

test("bufferedAmount falls with each acknowledgment and forgets what failed", async (t) => {
  const { session, worker } = await offered(t);
  const [first, second] = [session.send("0123456789"), session.send("01234")];
  const request = await worker.serve("send");
  await worker.serve("send");
  assert.equal(session.bufferedAmount, 15);
  worker.say({ event: "progress", message: request.message, acknowledged: 4, sent: false, delivered: false });
  assert.equal(session.bufferedAmount, 11);
  second.abort();
  await second._settled;
  assert.equal(session.bufferedAmount, 6);
  worker.say({ event: "progress", message: request.message, acknowledged: 10, sent: true, delivered: true });
  await first.delivered;
  assert.equal(session.bufferedAmount, 0);
});

test("a signal aborts its message, unless that is over", async (t) => {
  const { session, worker } = await offered(t);
  const controller = new AbortController();
  const message = session.send("x", { signal: controller.signal });
  await worker.serve("send");
  const reason = new Error("the page was left");
  controller.abort(reason);
  await worker.serve("abort");
  await assert.rejects(message.sent, (error) => error === reason);

  const late = new AbortController();
  const done = session.send("x", { signal: late.signal });
  const request = await worker.serve("send");
  worker.say({ event: "progress", message: request.message, acknowledged: 1, sent: true, delivered: true });
  await done.delivered;
  late.abort();
  assert.equal(done.state, "delivered");
  const { signal } = new AbortController();
  const failing = session.send("x", { signal });
  failing.abort();
  await failing._settled;
  assert.equal(getEventListeners(signal, "abort").length, 0, "it may be used for many messages");
});

test("a signal that is aborted already keeps the message here", async (t) => {
  const { session, worker } = await offered(t);
  const message = session.send("x", { signal: AbortSignal.abort() });
  assert.equal(message.state, "failed");
  await assert.rejects(message.delivered, { name: "AbortError" });
  const next = session.send("y");
  assert.equal((await worker.serve("send")).messageId, next.messageId);
});

test("sendFile takes files only", async (t) => {
  const { session, worker } = await offered(t);
  assert.throws(() => session.sendFile("a.txt"), TypeError);
  const transfer = session.sendFile(new File(["x"], "a.txt", { type: "text/plain" }));
  assert.equal(transfer.name, "a.txt");
  assert.equal((await worker.serve("send")).disposition, 'attachment; filename="a.txt"');
});

test("an arriving message is an event", async (t) => {
  const { session, worker, number } = await offered(t);
  const arriving = event(session, "message");
  worker.say({ event: "message", session: number, messageId: "m9", contentType: "text/plain", disposition: "", from: "a", to: "b", size: 2, data: new TextEncoder().encode("Hi") });
  const { message } = await arriving;
  assert.equal(message.messageId, "m9");
  assert.equal(await message.text(), "Hi");
});

test("the state follows the core's", async (t) => {
  const { session, state } = await begin(t);
  const seen = [session.connectionState];
  session.addEventListener("connectionstatechange", () => seen.push(session.connectionState));
  state("connecting");
  state("connected");
  state("closed", lost);
  assert.deepEqual(seen, ["new", "connecting", "connected", "failed"]);
});

test("the core's word that the session was closed on purpose is no failure", async (t) => {
  const { session, state } = await begin(t);
  state("connected");
  state("closed", { message: "msrp: the session is closed", kind: "closed" });
  assert.equal(session.connectionState, "closed");
  assert.equal(await session.closed, undefined);
});

test("a session that fails tells everybody who waits for it, once", async (t) => {
  const { session, worker, state } = await offered(t);
  const message = session.send("x");
  await worker.serve("send");
  state("connected");
  state("closed", lost);
  state("closed", { message: "again" });
  const reason = await session.closed;
  assert.ok(reason instanceof MsrpError);
  assert.equal(reason.kind, "lost");
  assert.equal(message.error, reason);
  for (const refused of [session.createOffer(), session.setRemoteDescription(offer), session.probe(), session.send("y").sent, session.send(new Blob(["z"])).delivered]) {
    await assert.rejects(refused, (error) => error === reason);
  }
  await session.close();
  assert.equal(session.connectionState, "failed", "it stays what it was");
});

test("a session that is closed here ends without a reason", async (t) => {
  const { session, worker, number, state } = await offered(t);
  const message = session.send("x");
  await worker.serve("send");
  state("connected");
  const closing = session.close();
  assert.equal(session.connectionState, "closed");
  assert.equal((await worker.serve("close")).session, number);
  await closing;
  await session.close();
  assert.equal(await session.closed, undefined);
  await assert.rejects(message.delivered, { kind: "closed" });
  for (const refused of [session.createOffer(), session.createAnswer(), session.setRemoteDescription(answer), session.probe(), session.send("y").sent]) {
    await assert.rejects(refused, (error) => error instanceof MsrpError && error.kind === "closed");
  }
  assert.equal(worker.requests.length, 0, "the core is told once");
});

test("messages that wait for the session fail when it closes instead", async (t) => {
  const { session, worker } = await begin(t);
  const message = session.send("x");
  const closing = session.close();
  await worker.serve("close");
  await closing;
  await assert.rejects(message.sent, { kind: "closed" });
  assert.equal(worker.requests.length, 0);
});

test("what was sent for good is still so after close", async (t) => {
  const { session, worker } = await offered(t);
  const message = session.send("x", { successReport: false });
  const request = await worker.serve("send");
  worker.say({ event: "progress", message: request.message, acknowledged: 1, sent: true, delivered: false });
  session.close();
  assert.equal(message.state, "sent");
  assert.equal(message.error, undefined);
});

test("a session whose core stops has failed", async (t) => {
  const { session, worker } = await begin(t);
  const offering = session.createOffer();
  await worker.request("offer");
  worker.say({ exited: "crashed" });
  await assert.rejects(offering, /crashed/);
  assert.match((await session.closed).message, /crashed/);
  assert.equal(session.connectionState, "failed");
  await session.close();
});

test("a session that the core does not take has failed", async (t) => {
  const { core, worker } = await scriptedCore(t);
  const session = new MsrpSession(core, client, {}, async () => ({}));
  await worker.refuse("session", { message: "the client is closed" });
  assert.equal((await session.closed).message, "The client is closed.");
  assert.equal(session.connectionState, "failed");
});

test("probe answers, fails, and can be given up", async (t) => {
  const { session, worker } = await offered(t);
  const good = session.probe();
  await worker.serve("probe");
  assert.equal(await good, undefined);
  const bad = session.probe();
  await worker.refuse("probe", { message: "msrp: 481", code: 481, kind: "status" });
  await assert.rejects(bad, { code: 481 });
  const controller = new AbortController();
  const given = session.probe({ signal: controller.signal });
  controller.abort();
  await assert.rejects(given, { name: "AbortError" });
});

test("nobody else makes a session", () => {
  assert.throws(() => new MsrpSession(), /createSession/);
});
