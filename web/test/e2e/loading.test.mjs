// How the core gets into the page: from servers that do not do it quite right,
// at the second attempt, past policies, and never one of another build.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { browsers, guard, noWorkers, openPage, policies, startDev, startSite } from "./rig.mjs";
import { skip, startWebKit } from "./webkit.mjs";

/** What browsers say of what these tests do on purpose. */
const expected = /integrity|hashes|503|500 |404|NS_ERROR|net::ERR|Failed to load resource|Content.Security.Policy|own thread|Loading (failed|Worker)|dynamically imported|NetworkError/i;

/** Connects and closes, and says how that went. */
async function attempt({ url, worker, username, password, module = `${location.pathname}webmsrp.js` }) {
  const { MsrpClient, MsrpError } = await import(module);
  try {
    const client = await MsrpClient.connect(url, { worker, username, password });
    await client.close();
    return "connected";
  } catch (error) {
    return error instanceof MsrpError ? error.message : `no MsrpError: ${error}`;
  }
}

for (const [browserName, start] of Object.entries({ ...browsers, WebKitGTK: startWebKit })) {
  test(`loading in ${browserName}`, { skip: start === startWebKit && skip }, async (t) => {
    const wasm = await readFile(new URL("../../dist/msrp.wasm", import.meta.url));
    // Another build: a section of no meaning more.
    const stale = Buffer.concat([wasm, Buffer.from([0, 2, 1, 120])]);
    const asked = new Map();
    let [down, elsewhere] = [false, ""];
    const variants = {
      untyped: (file) => file === "msrp.wasm" && { type: "application/octet-stream" },
      guessing: (file) => file === "msrp.wasm" && { type: "text/html; charset=utf-8", body: "<!doctype html>" },
      stale: (file) => file === "msrp.wasm" && { body: stale },
      mixed: (file, text) => file === "host.js" && { body: text.replaceAll(/sha256-[^"'`]+/g, "sha256-other") },
      cached: (file, text, count) => file === "msrp.wasm" && { body: count === 1 ? stale : wasm, headers: { "Cache-Control": "max-age=3600" } },
      failing: (file, text, count) => file === "msrp.wasm" && count === 1 && { status: 503, body: "busy" },
      hostless: (file) => file === "host.js" && down && { status: 503, body: "busy" },
      refused: () => ({ policy: policies("page").replace("worker-src 'self'", "worker-src 'none'") }),
      forbidden: () => ({ policy: policies("other") }),
      elsewhere: () => ({ policy: elsewhere }),
      absent: (file) => file === "worker.js" && { status: 404, body: "" },
    };
    const site = await startSite(t, async (variant, file) => {
      const key = `${variant}/${file}`;
      asked.set(key, (asked.get(key) ?? 0) + 1);
      const text = file.endsWith(".js") ? await readFile(new URL(`../../dist/${file}`, import.meta.url), "utf8") : "";
      const { policy = policies("page", file), ...answer } = variants[variant]?.(file, text, asked.get(key)) || {};
      return { ...answer, headers: { "Content-Security-Policy": policy, ...answer.headers } };
    });
    const server = await startDev(t, `--origin=${site.origin}`);
    const url = `${server.url.replace("http", "ws")}msrp`;
    const credentials = await (await fetch(new URL("credentials?name=alice", server.url))).json();
    const browser = await start(t);

    /** Opens a page of a variant, and returns what attempts to connect there. */
    const at = async (t, variant) => {
      asked.clear();
      const page = await openPage(t, browser, `${site.origin}/${variant}/`, { expected });
      const connect = (worker) => page.evaluate(attempt, { url, worker, ...credentials });
      return { page, connect };
    };

    for (const worker of [true, false]) {
      const where = worker ? "a worker" : "the page's thread";
      const subtest = (name, run) => t.test(`${name} (${where})`, { timeout: guard }, run);

      await subtest("a server that does not know the type of WebAssembly", async (t) => {
        const { connect } = await at(t, "untyped");
        assert.equal(await connect(worker), "connected");
      });

      await subtest("a core of another build is refused", async (t) => {
        const { connect } = await at(t, "stale");
        assert.match(await connect(worker), /cannot be loaded: http:\S+\/stale\/msrp\.wasm is of another build than webmsrp\.js: publish/);
      });

      await subtest("a server that has a page for everything", async (t) => {
        const { connect } = await at(t, "guessing");
        assert.match(await connect(worker), /cannot be loaded: http:\S+\/guessing\/msrp\.wasm answered a page of HTML: publish msrp.wasm there/);
      });

      await subtest("so is a host of another build", async (t) => {
        const { connect } = await at(t, "mixed");
        assert.match(await connect(worker), /cannot be loaded: http:\S+\/mixed\/host\.js and webmsrp\.js are of two builds: publish/);
      });

      await subtest("an old core in the browser's cache gives way to the new", async (t) => {
        const { page, connect } = await at(t, "cached");
        await page.evaluate(async () => (await fetch("/cached/msrp.wasm")).arrayBuffer());
        assert.equal(await connect(worker), "connected");
        assert.equal(asked.get("cached/msrp.wasm"), 2);
      });

      await subtest("what failed is tried again at the next attempt", async (t) => {
        const { page, connect } = await at(t, "failing");
        assert.match(await connect(worker), /cannot be loaded: http:\S+\/failing\/msrp\.wasm answered 503/);
        await noWorkers(page);
        assert.equal(await connect(worker), "connected");
      });

      await subtest("a script that failed too", async (t) => {
        const { connect } = await at(t, "hostless");
        down = true;
        assert.match(await connect(worker), /cannot be loaded: /);
        down = false;
        assert.equal(await connect(worker), "connected");
      });
    }

    for (const [variant, why] of [["refused", "a policy refuses workers"], ["absent", "the worker is not there"]]) {
      await t.test(`${why}: the page's thread takes over`, { timeout: guard }, async (t) => {
        const { page, connect } = await at(t, variant);
        assert.equal(await connect(undefined), "connected");
        await noWorkers(page);
        assert.match(await connect(true), /cannot be loaded: its worker was refused/, "unless a worker was asked for");
      });
    }

    await t.test("from another origin the worker begins as a Blob", { timeout: guard }, async (t) => {
      const far = await startSite(t, (variant, file) => ({ headers: { "Content-Security-Policy": policies("far", file) } }));
      elsewhere = `default-src 'none'; script-src ${far.origin} 'wasm-unsafe-eval'; worker-src blob: ${far.origin}; connect-src ${far.origin} ws://127.0.0.1:*; img-src data:`;
      const page = await openPage(t, browser, `${site.origin}/elsewhere/`);
      const module = `${far.origin}/far/webmsrp.js`;
      assert.equal(await page.evaluate(attempt, { url, worker: true, module, ...credentials }), "connected");
      await noWorkers(page);
    });

    await t.test("a policy that forbids WebAssembly is named", { timeout: guard }, async (t) => {
      const { connect } = await at(t, "forbidden");
      assert.match(await connect(false), /cannot be loaded: .*(Content Security|CSP)/);
    });
  });
}

// Over HTTP and not from this machine itself a page has neither locks nor
// crypto.subtle, which then are done without.
test("a page that came without TLS", { timeout: guard }, async (t) => {
  const site = await startSite(t, (variant, file) => ({ headers: { "Content-Security-Policy": policies("page", file) } }));
  const origin = site.origin.replace("127.0.0.1", "far.example.com");
  const server = await startDev(t, `--origin=${origin}`);
  const credentials = await (await fetch(new URL("credentials?name=alice", server.url))).json();
  const browser = await browsers.Chromium(t, "--host-resolver-rules=MAP far.example.com 127.0.0.1");
  const page = await openPage(t, browser, `${origin}/insecure/`);
  assert.equal(await page.evaluate(() => window.isSecureContext), false);
  const url = `${server.url.replace("http", "ws")}msrp`;
  for (const worker of [true, false]) assert.equal(await page.evaluate(attempt, { url, worker, ...credentials }), "connected");
});
