// Measures the client in real browsers, each figure beside what it is to be
// measured by in rounds that take turns: medians, and the median of the ratios
// beside its goal.
//
//   node test/e2e/bench-browser.mjs [PATTERN]

import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import path from "node:path";
import { test } from "node:test";
import puppeteer from "puppeteer-core";
import { answerOf, hasKamailio, startKamailio } from "./kamailio.mjs";
import { directory, Process, startDev } from "./rig.mjs";

const rounds = Number(process.env.ROUNDS ?? 5);
const only = new RegExp(process.argv[2] ?? "");
const root = new URL("../../../", import.meta.url);
const goals = [];

/** Serves the page of the benchmark and the built client on one origin. */
async function startPage(t) {
  const types = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };
  const server = createServer(async (request, response) => {
    const name = path.basename(request.url === "/" ? "/index.html" : request.url);
    const from = name === "bench-page.js" ? "web/test/e2e/" : "web/dist/";
    const body = name === "index.html" ? "<!doctype html><title>bench</title>" : await readFile(new URL(from + name, root)).catch(() => undefined);
    response.writeHead(body === undefined ? 404 : 200, { "Content-Type": types[path.extname(name)] ?? "text/plain" }).end(body);
  }).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  return `http://127.0.0.1:${server.address().port}`;
}

async function startFarEnd(t) {
  const farend = new Process(t, new URL("bin/farend", root).pathname, []);
  const url = await farend.line((line) => line.match(/^http:\S+/)?.[0]);
  return { websocket: `${url.replace("http", "ws")}/websocket`, session: async () => (await fetch(`${url}/session`)).text() };
}

/** Without the domain Network, which would copy each message to this process. */
async function startBrowser(t, browser) {
  const executablePath = { chrome: process.env.CHROMIUM ?? "/usr/bin/chromium", firefox: process.env.FIREFOX ?? "/usr/bin/firefox-esr" }[browser];
  const args = browser === "chrome" ? ["--no-sandbox", "--disable-gpu"] : [];
  const started = await puppeteer.launch({ browser, executablePath, args, userDataDir: await directory(t), networkEnabled: false });
  t.after(() => started.close());
  return started;
}

/** Measures both in turn: functions that move so many octets and return the milliseconds. */
async function compare(name, least, octets, ours, theirs) {
  if (!only.test(name)) return;
  const figures = { ours: [], theirs: [] };
  for (let round = -1; round < rounds; round++) {
    for (const [who, measure] of Object.entries({ ours, theirs })) {
      const rate = octets / 1000 / (await measure(octets));
      if (round >= 0) figures[who].push(rate); // the first warms up
    }
  }
  const ratio = median(figures.ours.map((rate, round) => rate / figures.theirs[round]));
  console.log(`${name.padEnd(44)} ${median(figures.ours).toFixed(1).padStart(7)} MB/s, beside ${median(figures.theirs).toFixed(1).padStart(7)} MB/s`);
  judge(name, ratio.toFixed(2), `at least ${least}`, ratio >= least);
}

/** The client's scripts as they are sent; the build sees to the wasm. */
async function sizes() {
  let octets = 0;
  for (const name of ["webmsrp.js", "worker.js", "host.js"]) octets += (await readFile(new URL(`web/dist/${name}.br`, root))).length;
  judge("the client's JavaScript after brotli", `${(octets / 1024).toFixed(1)} KiB`, "at most 40", octets <= 40 << 10);
}

/** From the start of the worker until the core runs in it, each time for the first time. */
async function readiness(name, browser, url) {
  if (!only.test(name)) return;
  const times = [];
  for (let round = 0; round < rounds; round++) {
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    await page.goto(url, { waitUntil: "load" });
    times.push(
      await page.evaluate(() => {
        const from = performance.now();
        const worker = new Worker("/worker.js", { type: "module" });
        return new Promise((resolve) => {
          worker.onmessage = () => resolve(performance.now() - from);
          worker.postMessage({});
        });
      }),
    );
    await context.close();
  }
  judge(name, `${median(times).toFixed(0)} ms`, "at most 150", median(times) <= 150);
}

function judge(name, value, want, reached) {
  goals.push(`${name.padEnd(44)} ${value.padStart(8)}  ${want.padEnd(14)} ${reached ? "reached" : "NOT REACHED"}`);
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** Starts something of bench-page.js in the page and returns functions that run its. */
async function start(page, what, ...args) {
  const handle = await page.evaluateHandle(
    async (what, args) => (await import("/bench-page.js"))[what](...args.map((arg) => (arg === "hash" ? window.md5 : arg))),
    what,
    args,
  );
  const call = (method) => (...args) => page.evaluate((o, method, args) => o[method](...args), handle, method, args);
  return { up: call("up"), down: call("down"), close: call("close") };
}

test("benchmarks in browsers", async (t) => {
  const origin = await startPage(t);
  const farend = await startFarEnd(t);
  const dev = await startDev(t, `--origin=${origin}`, "--peer-chunk=0");
  const credentials = await (await fetch(`${dev.url}credentials?name=bench`)).json();
  const proxy = `${dev.url.replace("http", "ws")}msrp`;
  await sizes();
  for (const [kind, browserName, least, octets] of [["chrome", "Chromium", 0.8, 64 << 20], ["firefox", "Firefox", 0.5, 256 << 20]]) {
    const browser = await startBrowser(t, kind);
    const page = await browser.newPage();
    await page.goto(origin);
    if (browserName === "Chromium" && hasKamailio) {
      await page.exposeFunction("md5", (text) => createHash("md5").update(text).digest("hex"));
      const { port } = await startKamailio(t);
      const kamailio = `ws://127.0.0.1:${port}/msrp`;
      for (const chunkSize of [2048, 8192]) {
        const name = `to crocodile's, Kamailio, ${chunkSize} B`;
        if (!only.test(name)) continue;
        const ours = await start(page, "startClient", kamailio, answerOf(await farend.session()), { username: "alice", password: "secret", chunkSize });
        const theirs = await start(page, "startCrocodile", kamailio, await farend.session(), chunkSize, "hash");
        await compare(name, 3, 4 << 20, ours.up, theirs.up);
        await ours.close();
        await theirs.close();
      }
    }
    await readiness(`worker ready, ${browserName}`, browser, dev.url);
    const ours = await start(page, "startClient", proxy, answerOf(await farend.session()), credentials);
    const theirs = await start(page, "startBare", farend.websocket);
    for (const way of ["up", "down"]) {
      await compare(`to a bare WebSocket's, ${way}, ${browserName}`, least, octets, ours[way], (octets) => theirs[way](octets, 64 << 10));
    }
    await browser.close();
  }
  console.log(`\nGoals\n${goals.map((goal) => `  ${goal}`).join("\n")}`);
});
