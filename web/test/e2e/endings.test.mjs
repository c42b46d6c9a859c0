// How things end: whatever dies, nothing waits for it any longer; and what was
// closed leaves nothing behind.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { browsers, guard, noWorkers, openPage, policies, startDev, startSite } from "./rig.mjs";

/**
 * Runs before all scripts of a page or worker: notes the programs of Go that are
 * started, and every function that they make for JavaScript to call.
 */
function watchGo() {
  globalThis.programs = [];
  let kept;
  Object.defineProperty(globalThis, "Go", {
    configurable: true,
    get: () => kept,
    set(Go) {
      kept = class extends Go {
        functions = [];
        constructor() {
          super();
          globalThis.programs.push(this);
        }
        _makeFuncWrapper(id) {
          const made = super._makeFuncWrapper(id);
          this.functions.push(made);
          return made;
        }
        /** Leaves nothing of the program to run on. */
        destroy() {
          new Uint8Array(this._inst.exports.mem.buffer).fill(0);
        }
      };
    },
  });
}

/** Runs before all scripts of a page: notes its workers and object URLs. */
function watchPage() {
  window.workers = [];
  window.Worker = class extends Worker {
    constructor(...args) {
      super(...args);
      window.workers.push(new WeakRef(this));
    }
  };
  window.objectURLs = new Set();
  const { createObjectURL, revokeObjectURL } = URL;
  URL.createObjectURL = (object) => {
    const url = createObjectURL.call(URL, object);
    window.objectURLs.add(url);
    return url;
  };
  URL.revokeObjectURL = (url) => {
    window.objectURLs.delete(url);
    revokeObjectURL.call(URL, url);
  };
}

/**
 * A worker.js that may be destroyed by a message from the page. It is built
 * around the real one.
 */
const destructible = `import "./watch.js"; import "./real-worker.js";`;
const watch = `(${watchGo})(); addEventListener("message", (event) => {
  if (event.data !== "destroy") return;
  event.stopImmediatePropagation();
  programs[0].destroy();
});`;

/** The site with the tests' own scripts, and a server that lets it in. */
async function startBoth(t) {
  const inPage = await readFile(new URL("in-page.js", import.meta.url));
  const worker = await readFile(new URL("../../dist/worker.js", import.meta.url));
  const own = { "in-page.js": inPage, "watch.js": watch, "worker.js": destructible, "real-worker.js": worker };
  const site = await startSite(t, (variant, file) => ({ body: own[file], headers: { "Content-Security-Policy": policies(variant, file) } }));
  const server = await startDev(t, `--origin=${site.origin}`);
  const { username, password } = await (await fetch(new URL("credentials?name=alice", server.url))).json();
  const address = (host) => {
    const settings = new URLSearchParams({ relay: `${server.url.replace("http", "ws")}msrp`, username, password, worker: String(host === "worker") });
    return `${site.origin}/${host}/?${settings}`;
  };
  return { server, address };
}

/** Before all scripts of a page, in one function. */
const first = `(${watchGo})(); (${watchPage})();`;

/** Starts everything that can wait, and notes how each ends. */
async function begin(host, reconnect) {
  const api = await import(`/${host}/in-page.js`);
  const { connect, pair, next, pattern, streamOf, MsrpError } = api;
  const client = await connect({ reconnect });
  const [alice, bob] = await pair(client);
  const answering = client.createSession();
  await answering.setRemoteDescription(await client.createSession().createOffer());
  // Each in a session of its own: one that is not read holds up the next.
  const arrives = async (body) => {
    const [from, to] = await pair(client);
    const arriving = next(to, "message");
    const sending = from.send(body);
    return [(await arriving).message, sending];
  };
  const unread = await arrives(pattern(8 << 20));
  const [messageToStream] = await arrives(streamOf(pattern(8 << 20), 65_536).stream);
  const [messageToBlob] = await arrives(new Blob([pattern(8 << 20)]));
  const [messageToSave] = await arrives(new Blob([pattern(8 << 20)]));
  const [messageToPause] = await arrives(new Blob([pattern(8 << 20)]));
  const outcomes = {};
  const note = (what, promise) =>
    promise.then(
      (value) => (outcomes[what] = value instanceof MsrpError ? "ended with MsrpError" : `fulfilled with ${JSON.stringify(value)}`),
      (error) => (outcomes[what] = error instanceof MsrpError ? "MsrpError" : String(error)),
    );
  window.start = () => {
    const text = alice.send("text");
    const file = alice.sendFile(new File([pattern(1000)], "a.bin"));
    const stream = alice.send(streamOf(pattern(1000)).stream);
    const offered = client.createSession().sendFile(new Blob(["x"]), { offer: true });
    const paused = messageToPause.save();
    paused.pause();
    window.all = Promise.all(
      Object.entries({
        connect: connect(),
        createOffer: client.createSession().createOffer(),
        createAnswer: answering.createAnswer(),
        probe: alice.probe(),
        "text sent": text.sent,
        "text delivered": text.delivered,
        "file sent": file.sent,
        "file delivered": file.delivered,
        "stream sent": stream.sent,
        "stream delivered": stream.delivered,
        "unread delivered": unread[1].delivered,
        "message.body": api.octetsOf(messageToStream.body),
        "message.blob()": messageToBlob.blob(),
        "saved file.verified": messageToSave.save().verified,
        "paused file.verified": paused.verified,
        "offered file.verified": offered.verified,
        "session.closed": alice.closed,
        "other session.closed": bob.closed,
        "client.closed": client.closed,
      }).map(([what, promise]) => note(what, promise)),
    );
  };
  window.after = async () => {
    await note("client.close()", client.close());
    await note("session.close()", alice.close());
    await note("late createOffer", alice.createOffer());
    await note("late send", alice.send("late").sent);
    try {
      client.createSession();
    } catch (error) {
      await note("late createSession", Promise.reject(error));
    }
    return { outcomes, states: [client.connectionState, alice.connectionState, bob.connectionState] };
  };
  window.outcomes = outcomes;
  Object.assign(window, { api, client });
}

const rejected = ["connect", "createOffer", "createAnswer", "probe", "text sent", "text delivered", "file sent", "file delivered", "stream sent", "stream delivered", "unread delivered", "message.body", "message.blob()", "saved file.verified", "paused file.verified", "offered file.verified", "late createOffer", "late send", "late createSession"];
const expectedOutcomes = {
  ...Object.fromEntries(rejected.map((what) => [what, "MsrpError"])),
  "session.closed": "ended with MsrpError",
  "other session.closed": "ended with MsrpError",
  "client.closed": "ended with MsrpError",
  "client.close()": "fulfilled with undefined",
  "session.close()": "fulfilled with undefined",
};

/** What dies, and in which hosts it can. */
const deaths = {
  "the proxy": { hosts: ["worker", "page"], reconnect: false, kill: (page, server) => server.kill("SIGKILL") },
  "the proxy for longer than is waited": { hosts: ["worker", "page"], reconnect: { timeout: 500 }, kill: (page, server) => server.kill("SIGKILL") },
  "the client while it waits for the proxy": {
    hosts: ["worker"],
    kill: async (page, server) => {
      server.kill("SIGKILL");
      await page.evaluate(() => window.api.reaches(window.client, "reconnecting"));
      await page.evaluate(() => window.client.close());
    },
    otherwise: { "client.closed": "fulfilled with undefined" },
  },
  "the worker": { hosts: ["worker"], kill: (page) => page.evaluate(() => window.workers.at(-1).deref().terminate()) },
  "the program": {
    hosts: ["worker", "page"],
    // A request is what it stumbles over.
    kill: (page) =>
      page.evaluate(() => {
        if (window.programs.length > 0) window.programs.at(-1).destroy();
        else window.workers.at(-1).deref().postMessage("destroy");
        window.client.createSession();
      }),
  },
};

for (const [browserName, start] of Object.entries(browsers)) {
  test(`nothing hangs in ${browserName}`, async (t) => {
    const browser = await start(t);
    for (const [what, { hosts, reconnect, kill, otherwise }] of Object.entries(deaths)) {
      for (const host of hosts) {
        await t.test(`when ${what} dies (${host})`, { timeout: 2 * guard }, async (t) => {
          const { server, address } = await startBoth(t);
          const page = await openPage(t, browser, address(host), { first, expected: /WebSocket|ws:|wasm|null function|RuntimeError|memory access|unreachable|indirect call|out of bounds|fatal error|runtime|goroutine|panic|call stack|too much recursion|NS_ERROR/ });
          await page.evaluate(begin, host, reconnect);
          // Frozen, it answers nothing more.
          await server.freeze();
          await page.evaluate(() => window.start());
          await kill(page, server);
          await page.evaluate(() => window.all);
          const { outcomes, states } = await page.evaluate(() => window.after());
          assert.deepEqual(outcomes, { ...expectedOutcomes, ...otherwise });
          assert.deepEqual(states, ["closed", "failed", "failed"]);
          if (kill.length > 1) return; // there is no proxy
          server.kill("SIGCONT");
          await page.evaluate(async () => (await window.api.connect()).close());
          await noWorkers(page);
        });
      }
    }
  });
}

/** Opens and closes count pairs of sessions, some at a time, each with a message through it. */
async function pass(count) {
  const { api, client } = window;
  for (let done = 0; done < count; done += 20) {
    await Promise.all(
      Array.from({ length: Math.min(20, count - done) }, async () => {
        const [alice, bob] = await api.pair(client);
        const arriving = api.next(bob, "message");
        const sending = alice.send(api.streamOf(api.pattern(100)).stream);
        await (await arriving).message.save().verified;
        await sending.delivered;
        await Promise.all([alice.close(), bob.close()]);
      }),
    );
  }
}

/** Opens and closes count clients with a session each. */
async function clients(count) {
  const { api } = window;
  for (let done = 0; done < count; done++) {
    const client = await api.connect();
    await client.createSession().createOffer();
    await client.close();
  }
}

for (const [browserName, start] of Object.entries(browsers)) {
  test(`1,000 sessions and 50 clients leave nothing behind in ${browserName}`, async (t) => {
    const { address } = await startBoth(t);
    const browser = await start(t);

    await t.test("in a worker: no worker, no object URL, no object of ours", { timeout: 4 * guard }, async (t) => {
      const page = await openPage(t, browser, address("worker"), { first });
      await page.evaluate(async (host) => {
        window.api = await import(`/${host}/in-page.js`);
        window.client = await window.api.connect();
      }, "worker");
      await page.evaluate(pass, 500);
      await page.evaluate(() => window.client.close());
      await page.evaluate(clients, 50);
      const { workers, urls } = await page.evaluate(() => {
        delete window.client;
        return { workers: window.workers.length, urls: window.objectURLs.size };
      });
      assert.equal(workers, 51, "a worker for each client that came alone");
      assert.equal(urls, 0);
      await noWorkers(page);
      if (browserName !== "Chromium") return; // the only one that counts objects
      const devtools = await page.createCDPSession();
      for (const name of ["MsrpClient", "MsrpSession", "MsrpOutgoingMessage", "MsrpIncomingMessage", "MsrpIncomingFile"]) {
        const prototype = await page.evaluateHandle(async (name) => (await import("/worker/webmsrp.js"))[name].prototype, name);
        let count;
        for (let round = 0; round < 5 && count !== 0; round++) {
          await devtools.send("HeapProfiler.collectGarbage"); // not everything goes at the first
          const left = await page.queryObjects(prototype);
          // Prototypes of what extends it count as well.
          count = await left.evaluate((objects) => objects.filter((object) => !Object.hasOwn(object, "constructor")).length);
          await left.dispose();
        }
        assert.equal(count, 0, `${name}s are left`);
      }
    });

    await t.test("on the page's thread: no function that Go made is left with it", { timeout: 4 * guard }, async (t) => {
      // What Go says of a function that it has released, called again here.
      const page = await openPage(t, browser, address("page"), { first, expected: /call to released function/ });
      await page.evaluate(async (host) => {
        window.api = await import(`/${host}/in-page.js`);
        window.other = await window.api.connect(); // keeps the program running
        window.client = await window.api.connect();
      }, "page");
      await page.evaluate(pass, 500);
      await page.evaluate(() => window.client.close());
      await page.evaluate(clients, 50);
      const { made, kept } = await page.evaluate(() => {
        const [{ functions }] = window.programs;
        const { error } = console;
        let released = 0;
        console.error = (text) => (released += text === "call to released function" ? 1 : 0);
        for (const made of functions) made();
        console.error = error;
        return { made: functions.length, kept: functions.length - released };
      });
      assert.ok(made > 1000, `only ${made} were made`);
      assert.equal(kept, 2, "that which takes requests, and that of the open WebSocket");
      await page.evaluate(() => window.other.close());
    });
  });
}

// The browser tells of tasks by the clock, which on a busy machine runs on while
// others have the processor: its trace has the time that the thread itself had.
test("200 MB each way leave the page's thread free", { timeout: 4 * guard }, async (t) => {
  const { address } = await startBoth(t);
  const browser = await browsers.Chromium(t); // Firefox does not tell of long tasks
  const page = await openPage(t, browser, address("worker"), { first });
  await page.tracing.start({ categories: ["toplevel", "blink.user_timing"] });
  const observed = await page.evaluate(async () => {
    const api = await import("/worker/in-page.js");
    const client = await api.connect();
    const [alice, bob] = await api.pair(client);
    const observed = [];
    const observer = new PerformanceObserver((list) => observed.push(...list.getEntries()));
    observer.observe({ type: "longtask" });
    const piece = api.pattern(1 << 20);
    let [left, seen] = [200, 0];
    const stream = new ReadableStream({ pull: (controller) => (left-- > 0 ? controller.enqueue(piece.slice()) : controller.close()) }, { highWaterMark: 0 });
    const arriving = api.next(bob, "message");
    const sending = alice.send(stream);
    const reader = (await arriving).message.body.getReader();
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) seen += value.length;
    api.equal(seen, 200 << 20);
    await sending.delivered;
    await client.close();
    observed.push(...observer.takeRecords());
    observer.disconnect();
    // That both would tell of one.
    const told = new Promise((resolve) => new PerformanceObserver(resolve).observe({ type: "longtask" }));
    await new Promise((resolve) => setTimeout(resolve));
    performance.mark("control");
    for (let at = 0, sum = 0, end = performance.now() + 500; performance.now() < end; at++) sum += Math.sqrt(at);
    await new Promise((resolve) => setTimeout(resolve));
    await told;
    return observed.map(({ duration }) => duration);
  });
  const { traceEvents } = JSON.parse(Buffer.from(await page.tracing.stop()).toString());
  const control = traceEvents.find(({ name, cat }) => name === "control" && cat.includes("blink.user_timing"));
  const long = traceEvents
    .filter(({ name, pid, tid, tdur }) => name === "ThreadControllerImpl::RunTask" && pid === control.pid && tid === control.tid && tdur > 50_000)
    .sort((a, b) => a.ts - b.ts);
  const isControl = ({ ts, dur }) => ts <= control.ts && control.ts <= ts + dur;
  assert.equal(long.filter(isControl).length, 1, "the trace tells of the long task made on purpose");
  assert.deepEqual(long.filter((task) => !isControl(task)).map(({ tdur }) => tdur / 1000), [], `milliseconds of the processor; by the clock ${JSON.stringify(observed)}`);
});
