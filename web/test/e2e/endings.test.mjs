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
      window.workers.push(this);
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
  const server = await startDev(t, `--origin=${site.origin}`, "--max-tokens-per-user=1000");
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
async function begin(host) {
  const api = await import(`/${host}/in-page.js`);
  const { connect, pair, next, pattern, streamOf, MsrpError } = api;
  const client = await connect();
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
  const [messageToSave] = await arrives(new Blob([pattern(8 << 20)]));
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
        "message.blob()": messageToSave.blob(),
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

const rejected = ["connect", "createOffer", "createAnswer", "probe", "text sent", "text delivered", "file sent", "file delivered", "stream sent", "stream delivered", "unread delivered", "message.body", "message.blob()", "late createOffer", "late send", "late createSession"];
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
  "the proxy": { hosts: ["worker", "page"], kill: (page, server) => server.kill("SIGKILL") },
  "the worker": { hosts: ["worker"], kill: (page) => page.evaluate(() => window.workers.at(-1).terminate()) },
  "the program": {
    hosts: ["worker", "page"],
    // A request is what it stumbles over.
    kill: (page) =>
      page.evaluate(() => {
        if (window.programs.length > 0) window.programs.at(-1).destroy();
        else window.workers.at(-1).postMessage("destroy");
        window.client.createSession();
      }),
  },
};

for (const [browserName, start] of Object.entries(browsers)) {
  test(`nothing hangs in ${browserName}`, async (t) => {
    const browser = await start(t);
    for (const [what, { hosts, kill }] of Object.entries(deaths)) {
      for (const host of hosts) {
        await t.test(`when ${what} dies (${host})`, { timeout: 2 * guard }, async (t) => {
          const { server, address } = await startBoth(t);
          const page = await openPage(t, browser, address(host), { first, expected: /WebSocket|ws:|wasm|null function|RuntimeError|memory access|unreachable|indirect call|out of bounds|fatal error|runtime|goroutine|panic|call stack|too much recursion|NS_ERROR/ });
          await page.evaluate(begin, host);
          // Frozen, it answers nothing more.
          server.kill("SIGSTOP");
          await page.evaluate(() => window.start());
          await kill(page, server);
          await page.evaluate(() => window.all);
          const { outcomes, states } = await page.evaluate(() => window.after());
          assert.deepEqual(outcomes, expectedOutcomes);
          assert.deepEqual(states, ["closed", "failed", "failed"]);
          if (what === "the proxy") return;
          server.kill("SIGCONT");
          await page.evaluate(async () => (await window.api.connect()).close());
          await noWorkers(page);
        });
      }
    }
  });
}
