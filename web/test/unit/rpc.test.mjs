import "./support/browser.mjs";
import assert from "node:assert/strict";
import { resolveObjectURL } from "node:buffer";
import { MsrpError } from "../../errors.js";
import { acquireCore, Core, releaseCore } from "../../rpc.js";
import { test, turns } from "./support/cases.mjs";
import { scriptedCore, scriptWorkers } from "./support/scripted.mjs";

test("a request carries its fields and an id, and gets the answer of that id", async (t) => {
  const { core, worker } = await scriptedCore(t);
  const first = core.call("offer", { session: 1 });
  const second = core.call("probe", { session: 2 });
  const [one, two] = [await worker.request("offer"), await worker.request("probe")];
  assert.equal(one.session, 1);
  assert.equal(two.session, 2);
  assert.notEqual(one.id, two.id);
  worker.say({ id: two.id, result: "of the second" });
  worker.say({ id: one.id, result: "of the first" });
  assert.equal(await first, "of the first");
  assert.equal(await second, "of the second");
});

test("an error answers as an MsrpError", async (t) => {
  const { core, worker } = await scriptedCore(t);
  const answer = core.call("offer", {});
  await worker.refuse("offer", { message: "msrp: 401 Unauthorized", code: 401, kind: "status" });
  await assert.rejects(answer, (error) => error instanceof MsrpError && error.code === 401);
});

test("answers that nobody waits for are ignored", async (t) => {
  const { core, worker } = await scriptedCore(t);
  const answer = core.call("probe", {});
  const { id } = await worker.serve("probe", "once");
  worker.say({ id, error: { message: "twice" } });
  worker.say({ id: 10_000, result: "for nobody" });
  assert.equal(await answer, "once");
  const next = core.call("probe", {});
  await worker.serve("probe", "still there");
  assert.equal(await next, "still there");
});

test("what is to be transferred is gone here afterwards", async (t) => {
  const { core, worker } = await scriptedCore(t);
  const body = new Uint8Array([1, 2, 3]);
  core.call("send", { body }, [body.buffer]);
  assert.equal(body.byteLength, 0);
  assert.deepEqual((await worker.request("send")).body, new Uint8Array([1, 2, 3]));
});

test("a request that cannot be posted fails alone", async (t) => {
  const { core, worker } = await scriptedCore(t);
  const good = core.call("probe", {});
  await assert.rejects(core.call("probe", { body: () => {} }), { name: "DataCloneError" });
  await worker.serve("probe", "fine");
  assert.equal(await good, "fine");
});

test("numbers are never used twice, for requests neither", async (t) => {
  const { core, worker } = await scriptedCore(t);
  const numbers = [core.number(), core.number()];
  core.call("probe", {});
  numbers.push((await worker.request("probe")).id, core.number());
  assert.equal(new Set(numbers).size, 4);
});

test("an event goes to its object only, by kind and number", async (t) => {
  const { core, worker } = await scriptedCore(t);
  const seen = [];
  for (const kind of ["client", "session", "message"]) {
    for (const number of [1, 2]) core.listen(kind, number, (event) => seen.push(`${kind} ${number} ${event.event}`));
  }
  worker.say({ event: "clientclosed", client: 1 });
  worker.say({ event: "state", session: 1 });
  worker.say({ event: "progress", message: 2 });
  worker.say({ event: "state", session: 3 });
  core.listen("session", 1, undefined);
  worker.say({ event: "state", session: 1 });
  assert.deepEqual(seen, ["client 1 clientclosed", "session 1 state", "message 2 progress"]);
});

test("a dead core ends all that waits and listens, and takes nothing more", async (t) => {
  const { core, worker } = await scriptedCore(t);
  const heard = [];
  core.listen("client", 1, (event) => heard.push(event));
  core.listen("message", 2, (event) => heard.push(event));
  const waiting = [core.call("offer", {}), core.call("probe", {})];
  worker.say({ exited: "out of memory" });
  worker.say({ exited: "a second time" });
  for (const answer of [...waiting, core.call("probe", {})]) {
    await assert.rejects(answer, (error) => error instanceof MsrpError && error.kind === "failed" && error.message.includes("out of memory"));
  }
  assert.deepEqual(heard.map(({ event, error }) => [event, error instanceof MsrpError]), [["coreended", true], ["coreended", true]]);
  worker.say({ event: "clientclosed", client: 1 });
  assert.equal(heard.length, 2);
  assert.equal(core.ended, true);
  assert.equal(worker.terminated, 1);
});

test("an uncaught error in the worker ends the core", async (t) => {
  const { core, worker } = await scriptedCore(t);
  const answer = core.call("probe", {});
  worker.onerror({ message: "unreachable executed" });
  await assert.rejects(answer, /unreachable executed/);
});

test("a core that does not start says why", async (t) => {
  const made = scriptWorkers(t);
  const exits = Core.start({ worker: true, wasmURL: "http://127.0.0.1/other.wasm" });
  const first = await made.next();
  assert.equal((await first.requests.next()).wasmURL, "http://127.0.0.1/other.wasm");
  first.say({ exited: "cannot load the protocol core: 404" });
  await assert.rejects(exits, (error) => error instanceof MsrpError && error.message.includes("404"));
  assert.equal(first.terminated, 1);

  const blocked = Core.start({ worker: true });
  (await made.next()).onerror({}); // browsers tell no more where the script was not found
  await assert.rejects(blocked, (error) => error instanceof MsrpError && error.message.includes("cannot be loaded"));
});

test("the worker is a module, from a Blob where it lies on another origin", async (t) => {
  const made = scriptWorkers(t);
  Core.start({ worker: true });
  const own = await made.next();
  assert.match(own.url.href, /\/worker\.js$/);
  assert.deepEqual(own.options, { type: "module" });

  const { location } = globalThis;
  t.after(() => (globalThis.location = location));
  globalThis.location = new URL("https://page.example/");
  Core.start({ worker: true });
  const far = await made.next();
  assert.deepEqual(far.options, { type: "module" });
  const script = await resolveObjectURL(far.url).text();
  assert.equal(script, `import ${JSON.stringify(own.url.href)};`);
  far.say({ ready: true });
  await turns();
  assert.equal(resolveObjectURL(far.url), undefined, "it is given back");
});

test("where workers are refused the core runs on the page's thread, unless a worker was asked for", async (t) => {
  const warned = [];
  t.mock.method(console, "warn", (text) => warned.push(text));
  const made = scriptWorkers(t);
  const starting = Core.start({});
  (await made.next()).onerror({ message: "a policy" });
  const here = await starting;
  await assert.rejects(here.call("session", { client: 1 }), /client is closed/);
  assert.match(warned.shift(), /own thread: .*a policy/);

  const { Worker } = globalThis;
  globalThis.Worker = class {
    constructor() {
      throw new DOMException("not here", "SecurityError");
    }
  };
  t.after(() => (globalThis.Worker = Worker));
  const thrown = await Core.start({});
  assert.equal(thrown.ended, false);
  assert.match(warned.shift(), /own thread: its worker was refused: not here/);
  for (const core of [here, thrown]) core.stop(done);

  await assert.rejects(Core.start({ worker: true }), (error) => error instanceof MsrpError && error.message.includes("not here"));
  assert.deepEqual(warned, []);
});

/** What ends the use of a core. */
const done = new MsrpError("The connection was lost.", { kind: "lost" });

/** Acquires a core whose worker starts at once. */
async function acquire(made, options = {}) {
  const acquiring = acquireCore({ worker: true, ...options });
  const worker = await made.next();
  worker.say({ ready: true });
  return { core: await acquiring, worker };
}

test("clients with the same options share a core, which ends with the last of them", async (t) => {
  const made = scriptWorkers(t);
  const { core, worker } = await acquire(made);
  const other = await acquire(made, { wasmURL: "http://127.0.0.1/other.wasm" });
  assert.notEqual(other.core, core);
  assert.equal(await acquireCore({ worker: true }), core);
  releaseCore(core, done);
  assert.equal(worker.terminated, 0);
  assert.equal(core.ended, false);
  releaseCore(core, done);
  assert.equal(worker.terminated, 1);
  assert.equal(core.ended, true);
  await assert.rejects(core.call("read", {}), (error) => error === done);
  assert.equal(other.core.ended, false);
  const next = await acquire(made);
  assert.notEqual(next.core, core, "who comes later gets a new one");
  releaseCore(next.core, done);
  releaseCore(other.core, done);
  assert.equal(made.length, 0);
});

test("clients that come while a core starts wait for that one", async (t) => {
  const made = scriptWorkers(t);
  const both = [acquireCore({ worker: true }), acquireCore({ worker: true })];
  const worker = await made.next();
  worker.say({ ready: true });
  const [one, two] = await Promise.all(both);
  assert.equal(one, two);
  assert.equal(one.users, 2);
  assert.equal(made.length, 0);
  releaseCore(one, done);
  releaseCore(two, done);
});

test("a core that did not start is tried again", async (t) => {
  const made = scriptWorkers(t);
  const failing = acquireCore({ worker: true });
  (await made.next()).say({ exited: "offline" });
  await assert.rejects(failing, /offline/);
  const { core } = await acquire(made);
  releaseCore(core, done);
});

test("after a crash all clients share one new core", async (t) => {
  const made = scriptWorkers(t);
  const { worker } = await acquire(made);
  worker.say({ exited: "crashed" });
  const both = [acquireCore({ worker: true }), acquireCore({ worker: true })];
  (await made.next()).say({ ready: true });
  await turns();
  assert.equal(made.length, 0, "one is enough");
  const [one, two] = await Promise.all(both);
  assert.equal(one, two);
  releaseCore(one, done);
  releaseCore(two, done);
});

test("giving a core back does not mind that another cannot start", async (t) => {
  const made = scriptWorkers(t);
  const { core } = await acquire(made);
  const failing = acquireCore({ worker: true, wasmURL: "http://127.0.0.1/other.wasm" });
  const worker = await made.next();
  releaseCore(core, done);
  worker.say({ exited: "offline" });
  await assert.rejects(failing, /offline/);
  await turns(); // an unhandled rejection would fail this test
});
