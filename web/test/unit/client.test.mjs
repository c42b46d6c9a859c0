import "./support/browser.mjs";
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { MsrpClient } from "../../client.js";
import { MsrpError } from "../../errors.js";
import { test, turns } from "./support/cases.mjs";
import { scriptWorkers } from "./support/scripted.mjs";

const url = "ws://127.0.0.1:1/msrp";
const lost = { message: "msrp: the connection was lost", kind: "lost" };

/** A worker that has begun. */
async function ready(made) {
  const worker = await made.next();
  await worker.requests.next(); // the one that names the wasm
  worker.say({ ready: true });
  return worker;
}

/** A connected client and the scripted worker that it is at. */
async function connect(t, options, made = scriptWorkers(t)) {
  const connecting = MsrpClient.connect(url, options);
  const worker = await ready(made);
  const request = await worker.serve("connect");
  return { client: await connecting, worker, request, made };
}

/** Closes a client whose core is scripted. */
async function close(client, worker) {
  const closing = client.close();
  await worker.serve("disconnect");
  await closing;
}

test("connect says where and who", async (t) => {
  const { client, worker, request } = await connect(t, { username: "alice", password: "secret" });
  assert.equal(request.url, url);
  assert.equal(request.username, "alice");
  assert.equal(request.password, "secret");
  assert.equal(client.url, url);
  assert.equal(client.connectionState, "connected");
  await close(client, worker);
});

test("credentials that are asked for come before the others", async (t) => {
  const { client, worker, request } = await connect(t, { username: "old", password: "old", credentials: () => ({ username: "alice", password: "fresh" }) });
  assert.equal(request.username, "alice");
  assert.equal(request.password, "fresh");
  await close(client, worker);
});

test("credentials that cannot be had end the attempt", async (t) => {
  const made = scriptWorkers(t);
  const reason = new Error("the login page is down");
  const connecting = MsrpClient.connect(url, { credentials: () => Promise.reject(reason) });
  connecting.catch(() => {});
  const worker = await ready(made);
  await worker.serve("disconnect");
  await assert.rejects(connecting, (error) => error === reason);
  assert.equal(worker.terminated, 1);
});

test("the URL may be of the page's kind, relative, or a URL", async (t) => {
  const { location } = globalThis;
  t.after(() => (globalThis.location = location));
  for (const [given, page, expected] of [
    ["http://127.0.0.1:1/msrp", "http://page.example/", "ws://127.0.0.1:1/msrp"],
    ["https://relay.example/msrp", "http://page.example/", "wss://relay.example/msrp"],
    ["/msrp", "https://page.example/chat/", "wss://page.example/msrp"],
    [new URL("wss://relay.example/msrp"), "https://page.example/", "wss://relay.example/msrp"],
  ]) {
    globalThis.location = location;
    const made = scriptWorkers(t);
    t.mock.timers.enable({ apis: ["setTimeout"] }); // those of a worker of another origin
    globalThis.location = new URL(page);
    const connecting = MsrpClient.connect(given);
    const worker = await ready(made);
    assert.equal((await worker.serve("connect")).url, expected);
    const client = await connecting;
    assert.equal(client.url, expected);
    await close(client, worker);
    t.mock.timers.tick(60_000);
    t.mock.timers.reset();
  }
});

test("what is no WebSocket URL is refused by name", async () => {
  await assert.rejects(MsrpClient.connect("ftp://127.0.0.1/msrp"), (error) => error instanceof MsrpError && error.message.includes("ftp://127.0.0.1/msrp"));
});

test("a connection that fails gives its core back", async (t) => {
  const made = scriptWorkers(t);
  const connecting = MsrpClient.connect(url);
  const worker = await ready(made);
  await worker.refuse("connect", { message: "no MSRP over WebSocket there" });
  await worker.serve("disconnect");
  await assert.rejects(connecting, (error) => error instanceof MsrpError && error.kind === "failed");
  assert.equal(worker.terminated, 1);
});

test("a core that cannot be loaded fails the connection with an MsrpError, in either thread", async (t) => {
  const made = scriptWorkers(t);
  const inWorker = MsrpClient.connect(url);
  (await made.next()).say({ exited: "cannot load the protocol core: 404" });
  await assert.rejects(inWorker, (error) => error instanceof MsrpError && error.kind === "failed");
  const here = MsrpClient.connect(url, { worker: false, wasmURL: new URL("../../no.wasm", import.meta.url) });
  await assert.rejects(here, (error) => error instanceof MsrpError && error.kind === "failed" && error.message.includes("no.wasm") && error.message.includes("404"));
});

test("a signal gives up connecting", async (t) => {
  await assert.rejects(MsrpClient.connect(url, { signal: AbortSignal.abort() }), { name: "AbortError" });
  const made = scriptWorkers(t);
  const controller = new AbortController();
  const connecting = MsrpClient.connect(url, { signal: controller.signal });
  connecting.catch(() => {});
  const worker = await ready(made);
  await worker.request("connect");
  controller.abort();
  await worker.serve("disconnect");
  await assert.rejects(connecting, { name: "AbortError" });
  assert.equal(worker.terminated, 1);
  assert.equal(getEventListeners(controller.signal, "abort").length, 0);
});

test("giving up while the core loads gives that back too", async (t) => {
  const made = scriptWorkers(t);
  const controller = new AbortController();
  const connecting = MsrpClient.connect(url, { signal: controller.signal });
  const worker = await made.next();
  controller.abort();
  await assert.rejects(connecting, { name: "AbortError" });
  worker.say({ ready: true });
  await turns();
  assert.equal(worker.terminated, 1);
});

test("giving up while the core fails to load is no unhandled rejection", async (t) => {
  const made = scriptWorkers(t);
  const controller = new AbortController();
  const connecting = MsrpClient.connect(url, { signal: controller.signal });
  const worker = await made.next();
  controller.abort();
  await assert.rejects(connecting, { name: "AbortError" });
  worker.say({ exited: "offline" });
  await turns();
});

test("a signal no longer counts once connected", async (t) => {
  const controller = new AbortController();
  const { client, worker } = await connect(t, { signal: controller.signal });
  controller.abort();
  await turns();
  assert.equal(client.connectionState, "connected");
  await close(client, worker);
});

test("a session takes the client's word where its options say nothing", async (t) => {
  const { client, worker, request } = await connect(t);
  client.createSession();
  const plain = await worker.serve("session");
  assert.equal(plain.client, request.client);
  assert.deepEqual([plain.acceptTypes, plain.acceptWrappedTypes, plain.maxSize, plain.noDirect, plain.secure, plain.displayName], [[], [], 0, false, false, ""]);
  client.createSession({ acceptTypes: ["text/*"], acceptWrappedTypes: ["text/plain"], maxSize: 9, direct: false, secure: true, displayName: "Alice  of\tWonderland" });
  const all = await worker.serve("session");
  assert.deepEqual([all.acceptTypes, all.acceptWrappedTypes, all.maxSize, all.noDirect, all.secure], [["text/*"], ["text/plain"], 9, true, true]);
  assert.equal(all.displayName, "Alice_of_Wonderland", "SDP has no blanks there");
  await close(client, worker);
});

test("closing ends the sessions, the client and the core, each once", async (t) => {
  const { client, worker } = await connect(t);
  const session = client.createSession();
  await worker.serve("session");
  const states = [];
  client.addEventListener("connectionstatechange", () => states.push(client.connectionState));
  await close(client, worker);
  await client.close();
  assert.equal(await client.closed, undefined);
  assert.equal((await session.closed).kind, "closed");
  assert.equal(session.connectionState, "closed");
  assert.deepEqual(states, ["closed"]);
  assert.equal(worker.terminated, 1);
  assert.throws(() => client.createSession(), (error) => error instanceof MsrpError && error.kind === "closed");
});

test("a lost connection ends the sessions with the reason, if it is not to come back", async (t) => {
  const { client, worker, request } = await connect(t, { reconnect: false });
  const session = client.createSession();
  await worker.serve("session");
  worker.say({ event: "lost", client: request.client, error: lost });
  const reason = await client.closed;
  assert.equal(reason.kind, "lost");
  assert.equal(await session.closed, reason);
  assert.equal(session.connectionState, "failed");
  assert.equal(client.connectionState, "closed");
  await worker.serve("disconnect");
  await client.close();
  await turns();
  assert.equal(worker.terminated, 1);
});

/** A client whose connection was just lost, and what it goes through. */
async function lose(t, options) {
  const { worker, request, client } = await connect(t, { credentials: () => ({ username: "alice", password: "fresh" }), ...options });
  const states = [];
  client.addEventListener("connectionstatechange", () => states.push(client.connectionState));
  worker.say({ event: "lost", client: request.client, error: lost });
  assert.deepEqual(states, ["reconnecting"]);
  return { worker, request, client, states };
}

test("a lost connection is replaced, with credentials asked for again", async (t) => {
  let asked = 0;
  const { worker, request, client, states } = await lose(t, { credentials: () => ({ username: `alice${++asked}`, password: "fresh" }) });
  const session = client.createSession();
  await worker.serve("session");
  const offering = session.createOffer();
  await worker.refuse("connect", { message: "no MSRP over WebSocket" });
  const again = await worker.serve("connect");
  assert.equal(again.client, request.client);
  assert.equal(again.username, "alice3");
  // What needs the connection waited for it.
  await worker.serve("offer", "v=0");
  await offering;
  assert.deepEqual(states, ["reconnecting", "connected"]);
  await close(client, worker);
});

test("a connection that is lost while it is being replaced is lost", async (t) => {
  const { worker, request, client, states } = await lose(t);
  const { id } = await worker.request("connect");
  worker.say({ event: "lost", client: request.client, error: lost });
  worker.say({ id, result: null });
  await worker.serve("connect");
  await turns();
  assert.deepEqual(states, ["reconnecting", "connected"]);
  await close(client, worker);
});

for (const code of [401, 403]) {
  test(`credentials that are refused with ${code} are not tried again`, async (t) => {
    const { worker, client, states } = await lose(t);
    await worker.refuse("connect", { message: "refused", code });
    assert.equal((await client.closed).code, code);
    await worker.serve("disconnect");
    assert.deepEqual(states, ["reconnecting", "closed"]);
    assert.equal(worker.requests.length, 0);
  });
}

test("a connection that does not come back in time is given up", async (t) => {
  const { worker, client } = await lose(t, { reconnect: { timeout: 1 } });
  const session = client.createSession();
  const offering = session.createOffer();
  const reason = await client.closed;
  assert.equal(reason.kind, "lost");
  assert.match(reason.message, /did not come back\. Check the network, then connect again/);
  assert.equal(await session.closed, reason);
  await assert.rejects(offering, (error) => error === reason || error.kind === "closed");
  assert.equal(client.connectionState, "closed");
});

test("a connection may be tried again without end", async (t) => {
  const { worker, client, states } = await lose(t, { reconnect: { timeout: Infinity } });
  await worker.refuse("connect", { message: "no MSRP over WebSocket" });
  await worker.serve("connect");
  await turns();
  assert.deepEqual(states, ["reconnecting", "connected"]);
  await close(client, worker);
});

test("a client can be closed while its connection is being replaced", async (t) => {
  const { worker, client, states } = await lose(t);
  await worker.request("connect");
  const session = client.createSession();
  await worker.serve("session");
  const offering = session.createOffer();
  await close(client, worker);
  await assert.rejects(offering, { kind: "closed" });
  assert.equal(await client.closed, undefined);
  assert.deepEqual(states, ["reconnecting", "closed"]);
  await turns();
  assert.equal(worker.requests.length, 0);
});

test("a core that stops ends all its clients, and the next one gets a new core", async (t) => {
  const { client, worker, made } = await connect(t);
  const joining = MsrpClient.connect(url);
  await worker.serve("connect");
  const other = await joining;
  worker.say({ exited: "crashed" });
  assert.match((await client.closed).message, /crashed/);
  assert.match((await other.closed).message, /crashed/);
  const next = await connect(t, {}, made);
  assert.notEqual(next.worker, worker);
  await close(next.client, next.worker);
});

test("one client's end leaves the others their core", async (t) => {
  const { client, worker } = await connect(t);
  const joining = MsrpClient.connect(url);
  await worker.serve("connect");
  const other = await joining;
  const [session, staying] = [client.createSession(), other.createSession()];
  await worker.serve("session");
  await worker.serve("session");
  await close(client, worker);
  assert.equal(worker.terminated, 0);
  assert.equal(other.connectionState, "connected");
  assert.equal(session.connectionState, "closed");
  assert.equal(staying.connectionState, "new");
  await close(other, worker);
  assert.equal(worker.terminated, 1);
});

test("nobody else makes a client", () => {
  assert.throws(() => new MsrpClient(), /MsrpClient\.connect/);
});
