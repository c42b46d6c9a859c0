// What the browser tests share: the real program in its own process, a native
// peer in another, Debian's Chromium and Firefox, and a person's way of using
// the page.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { access, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import readline from "node:readline";
import { fileURLToPath } from "node:url";
import puppeteer from "puppeteer-core";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const program = path.join(root, "bin/webmsrp");

/** How long a test waits for what should happen soon, in milliseconds. */
export const guard = 30_000;

/** Greetings that a careless step on the way would damage. */
export const languages = [
  "Grüß Gott, schöne Straße",
  "Καλημέρα κόσμε",
  "Привет, мир",
  "你好，世界",
  "こんにちは世界",
  "안녕하세요 세계",
  "שלום עולם",
  "مرحبا بالعالم",
  "नमस्ते दुनिया",
  "👋🏽 👩‍👩‍👧‍👦 🇪🇺 ❤️‍🔥",
  "two\nlines & <b>no markup</b>\t\"quoted\"",
];

/** What is to be done at the ends of tests. */
const ends = new WeakMap();

/**
 * Has something done at the end of a test, before what was asked for earlier: a
 * page is over before the server that it would miss.
 */
export function atEnd(t, end) {
  if (!ends.has(t)) {
    ends.set(t, []);
    t.after(async () => {
      const results = [];
      for (const end of ends.get(t).reverse()) results.push(...(await Promise.allSettled([(async () => end())()])));
      for (const { reason } of results) if (reason) throw reason;
    });
  }
  ends.get(t).push(end);
}

/** @param {import("node:test").TestContext} t Makes a directory for a test. */
export async function directory(t) {
  const dir = await mkdtemp(path.join(tmpdir(), "webmsrp-"));
  atEnd(t, () => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** A port for a program that cannot choose one itself. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A process with its lines, ended with the test. */
export class Process extends EventEmitter {
  #child;
  #output = "";

  constructor(t, command, args, options = {}) {
    super();
    this.#child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], ...options });
    this.ended = new Promise((resolve) => this.#child.once("close", resolve));
    this.#child.once("error", (error) => this.emit("line", `${command}: ${error.message}`));
    this.ended.then((status) => this.emit("ended", status));
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      readline.createInterface({ input: stream }).on("line", (line) => {
        this.#output += `${line}\n`;
        this.emit("line", line);
      });
    }
    atEnd(t, async () => {
      this.kill("SIGTERM");
      this.kill("SIGCONT");
      const late = setTimeout(() => this.kill("SIGKILL"), 5000);
      await this.ended;
      clearTimeout(late);
    });
  }

  /** Everything written so far. */
  get output() {
    return this.#output;
  }

  kill(signal = "SIGKILL") {
    if (this.#child.exitCode === null) this.#child.kill(signal);
  }

  /** Stops it for good or until SIGCONT; afterwards none of its threads runs. */
  async freeze() {
    this.kill("SIGSTOP");
    const tasks = `/proc/${this.#child.pid}/task`;
    const stopped = async (/** @type {string} */ task) => /\) [Tt] /.test(await readFile(`${tasks}/${task}/stat`, "latin1"));
    while (!(await Promise.all((await readdir(tasks)).map(stopped))).every(Boolean));
  }

  write(line) {
    this.#child.stdin.write(`${line}\n`);
  }

  /** Waits for a line that a function finds something in, and returns that. */
  line(find) {
    return new Promise((resolve, reject) => {
      const done = (settle, value) => {
        clearTimeout(late);
        this.off("line", look);
        this.off("ended", over);
        settle(value);
      };
      const look = (line) => {
        const found = find(line);
        if (found) done(resolve, found);
        return found;
      };
      const over = (status) => done(reject, new Error(`the process ended with ${status}:\n${this.#output}`));
      const late = setTimeout(() => done(reject, new Error(`the line did not come; there was:\n${this.#output}`)), 2 * guard);
      this.on("line", look);
      this.on("ended", over);
      this.#output.split("\n").slice(0, -1).some(look); // no further than what is found
    });
  }
}

/** Starts serve --dev and returns it with the URL of its page. */
export async function startDev(t, ...args) {
  const local = ["--listen=127.0.0.1:0", "--msrp-listen=127.0.0.1:0", "--msrps-listen=127.0.0.1:0", "--admin-listen="];
  const server = new Process(t, program, ["serve", "--dev", ...local, ...args]);
  const url = await server.line((line) => line.match(/http:\/\/\S+\//)?.[0]);
  return Object.assign(server, { url, rendezvous: `${url.replace("http", "ws")}rendezvous` });
}

/**
 * Starts serve as in production: TLS, users with passwords, peers over TLS.
 * Everyone's password is "secret".
 */
export async function startSecure(t, users, ...args) {
  const dir = await directory(t);
  const { cert, key, spki } = await certificate(t, dir);
  const digest = (user) => createHash("md5").update(`${user}:localhost:secret`).digest("hex");
  await writeFile(path.join(dir, "users"), users.map((user) => `${user}:localhost:${digest(user)}\n`).join(""));
  const server = new Process(t, program, [
    ...["serve", "--listen=127.0.0.1:0", "--msrps-listen=127.0.0.1:0", "--admin-listen=", "--log-format=json"],
    ...["--public-host=localhost", `--tls-cert=${cert}`, `--tls-key=${key}`, `--users=${path.join(dir, "users")}`],
    ...["--peer-allow=127.0.0.0/8:1024-65535", ...args],
  ]);
  const url = await server.line((line) => line.includes('"ready"') && JSON.parse(line).page);
  return Object.assign(server, { url, rendezvous: `${url.replace("http", "ws")}rendezvous`, cert, key, spki });
}

/** Makes a certificate for this machine that is its own authority. */
export async function certificate(t, dir) {
  const goroot = new Process(t, "go", ["env", "GOROOT"]);
  await goroot.ended;
  const make = new Process(t, "go", ["run", path.join(goroot.output.trim(), "src/crypto/tls/generate_cert.go"), "--host=localhost,127.0.0.1", "--ca", "--ecdsa-curve=P256"], { cwd: dir });
  assert.equal(await make.ended, 0, make.output);
  const cert = path.join(dir, "cert.pem");
  const spki = new X509Certificate(await readFile(cert)).publicKey.export({ type: "spki", format: "der" });
  return { cert, key: path.join(dir, "key.pem"), spki: createHash("sha256").update(spki).digest("base64") };
}

/** Starts a native peer, which tells of itself in events. */
export function startPeer(t, ...args) {
  const peer = new Process(t, program, ["peer", "--json", ...args]);
  const taken = new Set();
  let count = 0;
  peer.on("line", () => count++);
  return Object.assign(peer, {
    /** Waits for the first event of a name that was not taken yet. */
    event(name) {
      let at = 0;
      return peer.line((line) => {
        const number = at++;
        if (taken.has(number) || !line.startsWith("{")) return undefined;
        const event = JSON.parse(line);
        if (event.event !== name) return undefined;
        taken.add(number);
        return event;
      });
    },
  });
}

const chromiumFlags = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
  "--js-flags=--expose-gc", // see memory
];

/** Starts Chromium with a fresh profile. */
export async function startBrowser(t, ...flags) {
  const executablePath = await present("CHROMIUM", "/usr/bin/chromium");
  return launch(t, { executablePath, args: [...chromiumFlags, ...flags], ignoreDefaultArgs: true, userDataDir: await directory(t), pipe: true });
}

/** Starts Firefox with a fresh profile. */
export async function startFirefox(t) {
  const executablePath = await present("FIREFOX", "/usr/bin/firefox-esr");
  return launch(t, { browser: "firefox", executablePath, args: ["--headless"] });
}

/** What the same tests run in. */
export const browsers = { Chromium: startBrowser, Firefox: startFirefox };

async function present(variable, usual) {
  const file = process.env[variable] ?? usual;
  await access(file).catch(() => assert.fail(`there is no ${file}: run "make test", or set ${variable}`));
  return file;
}

async function launch(t, options) {
  const browser = await puppeteer.launch({ ...options, ...(process.env.SOAK && { protocolTimeout: 0 }) });
  atEnd(t, () => browser.close());
  return browser;
}

/**
 * Opens a page in a context of its own, so that nothing is shared between two
 * people. What it says on its console as an error fails the test, except what
 * expected matches. first runs in the page before all of its scripts.
 */
export async function openPage(t, browser, url, { expected = /(?!)/, dark = false, width = 1024, height = 720, first = undefined } = {}) {
  if (browser.openPage) return browser.openPage(t, url, { expected });
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  page.setDefaultTimeout(guard);
  await page.setViewport({ width, height });
  // Firefox has its answers fixed.
  if (browser.process().spawnfile.includes("chrom")) {
    await page.emulateMediaFeatures([
      { name: "prefers-color-scheme", value: dark ? "dark" : "light" },
      { name: "prefers-reduced-motion", value: "reduce" },
    ]);
  }
  if (first) await page.evaluateOnNewDocument(first);
  const errors = [];
  const note = (text) => expected.test(text) || errors.push(text);
  if (process.env.DBG) page.on("console", (m) => console.log("PAGE", m.text()));
  page.on("pageerror", (error) => note(String(error)));
  page.on("console", (message) => ["error", "warn"].includes(message.type()) && note(message.text()));
  page.on("requestfailed", (request) => note(`${request.url()} ${request.failure()?.errorText}`));
  atEnd(t, () => assert.deepEqual(errors, [], "the page has errors on its console"));
  await page.goto(url, { waitUntil: "load" });
  return page;
}

/**
 * A network between pages and a server, which can be cut: connections to its
 * origin go on to the server.
 */
export async function startNetwork(t, url) {
  const { port } = new URL(url);
  const pairs = new Set();
  let open = true;
  let left = Infinity;
  let full = () => {};
  const count = (data) => {
    if ((left -= data.length) > 0) return;
    left = Infinity;
    full();
  };
  const server = net.createServer({ allowHalfOpen: true }, (near) => {
    if (!open) return near.resetAndDestroy();
    const far = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    const pair = [near, far];
    pairs.add(pair);
    const over = () => {
      pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    for (const [from, to] of [pair, pair.toReversed()]) from.on("error", over).on("close", over).on("data", count).pipe(to);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const network = {
    origin: `ws://127.0.0.1:${server.address().port}`,
    /** Resets every connection: both ends learn of it. */
    reset() {
      for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
    },
    /** No connection there is carries anything more to the pages, and from them, and nobody is told. New ones do. */
    freeze({ from = true } = {}) {
      for (const [near, far] of pairs) {
        far.unpipe(near).resume();
        if (from) near.unpipe(far).resume();
      }
    },
    /** Waits until so many octets more have passed. */
    passed: (octets) => new Promise((resolve) => ([left, full] = [octets, resolve])),
    /** Lets no connection be made, or again. */
    allow: (allowed) => (open = allowed),
  };
  atEnd(t, () => {
    server.close();
    network.reset();
  });
  return network;
}

/**
 * The Content-Security-Policy of each file, as web/README.md has it: WebAssembly
 * is for the worker alone, or on the page named "page" for its own thread.
 */
export function policies(variant, file) {
  const wasm = file === "worker.js" || variant === "page" ? " 'wasm-unsafe-eval'" : "";
  return `default-src 'none'; script-src 'self'${wasm}; worker-src 'self'; connect-src 'self' ws://127.0.0.1:*; img-src data:`;
}

/**
 * Serves what was built the way that another web server might. The first part
 * of a URL's path names a variant; answer(variant, file) says what of the
 * answer is other than usual: status, type, body, headers.
 */
export async function startSite(t, answer = () => ({})) {
  const blank = '<!doctype html><html lang="en"><title>test</title><link rel="icon" href="data:,">';
  const types = { ".js": "text/javascript", ".wasm": "application/wasm", ".html": "text/html", ".css": "text/css" };
  const server = createServer(async (request, response) => {
    const [, variant, file] = new URL(request.url, "http://site").pathname.match(/^\/([^/]*)\/?(.*)$/);
    try {
      const usual = file ? await readFile(path.join(root, "web/dist", file)).catch(() => undefined) : blank;
      const { body = usual, status = body === undefined ? 404 : 200, type = types[path.extname(file)] ?? "text/html", headers } = (await answer(variant, file)) ?? {};
      response.writeHead(status, { "Content-Type": type, "Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*", ...headers });
      response.end(body);
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  atEnd(t, () => {
    server.close();
    server.closeAllConnections();
  });
  return { origin: `http://127.0.0.1:${server.address().port}` };
}

/**
 * The private octets of every process of Chromium's that pages may be in, after a
 * collection in theirs, by process.
 */
export async function memory(...pages) {
  for (const page of pages) {
    for (const thread of [page, ...page.workers()]) await thread.evaluate(() => globalThis.gc());
  }
  const of = new Map();
  const processes = execFileSync("ps", ["-eo", "pid,args"], { encoding: "utf8" });
  const profile = pages[0].browser().process().spawnargs.find((arg) => arg.startsWith("--user-data-dir="));
  for (const [, pid, args] of processes.matchAll(/^ *(\d+) (.*)$/gm)) {
    if (!args.includes("--type=renderer") || !args.includes(profile)) continue;
    const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
    of.set(pid, 1024 * Number(rollup.match(/Private_Dirty: +(\d+)/)[1]));
  }
  return of;
}

/** Random numbers from 0 to 1, the same again for the same seed. */
export function random(seed) {
  let state = seed;
  return () => {
    // https://en.wikipedia.org/wiki/Lehmer_random_number_generator
    state = (state * 48271) % 0x7fffffff;
    return state / 0x7fffffff;
  };
}

/**
 * A way to a server that can be cut: what is on it is lost, and both ends are
 * told. hold() has it stand still towards the client.
 */
export async function startWire(t, url) {
  const sockets = new Set();
  const servers = new Set();
  const wire = net.createServer((near) => {
    const far = net.connect(new URL(url).port, "127.0.0.1");
    servers.add(far);
    for (const [one, other] of [[near, far], [far, near]]) {
      sockets.add(one);
      one.on("error", () => {}); // "close" follows
      one.on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  }).listen(0, "127.0.0.1");
  await once(wire, "listening");
  const hold = () => {
    for (const server of servers) server.unpipe().pause();
  };
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
    servers.clear();
  };
  t.after(() => {
    wire.close();
    cut();
  });
  return { url: Object.assign(new URL(url), { port: wire.address().port }).href, hold, cut };
}

/** Waits until a page has no worker any more. */
export async function noWorkers(page) {
  if (page.noWorkers) return page.noWorkers();
  while (page.workers().length > 0) {
    await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`the page still has ${page.workers().length} workers`)), guard);
      page.once("workerdestroyed", () => {
        clearTimeout(late);
        resolve();
      });
    });
  }
}

/** A person at the page. */
export class Person {
  /** @param {import("puppeteer-core").Page} page */
  constructor(page) {
    this.page = page;
  }

  static async open(t, browser, url, options) {
    return new Person(await openPage(t, browser, url, options));
  }

  /** Enters a name, and username and password where the page asks for them. */
  async join(name, password) {
    const { page } = this;
    await page.locator("#join [name=name]").fill(name);
    if (password !== undefined) {
      await page.locator("#join [name=username]").fill(name);
      await page.locator("#join [name=password]").fill(password);
    }
    await page.locator("#join button").click();
  }

  /** Waits until the page says that it stands so. */
  async status(status) {
    await this.page.waitForSelector(`body[data-status=${status}]`).catch(async (error) => {
      throw new Error(`the page is not ${status} but: ${await this.text()}`, { cause: error });
    });
  }

  async call(name) {
    await this.status("ready");
    await this.page.locator("#call [name=peer]").fill(name);
    await this.page.locator("#call button").click();
  }

  async hangUp() {
    await this.page.locator("msrp-chat >>> header button").click();
  }

  /** Types a text and sends it. */
  async say(text) {
    const { page } = this;
    await page.locator("msrp-chat >>> textarea").click();
    for (const [number, line] of text.split("\n").entries()) {
      if (number > 0) {
        await page.keyboard.down("Shift");
        await page.keyboard.press("Enter");
        await page.keyboard.up("Shift");
      }
      await page.keyboard.sendCharacter(line);
    }
    await page.keyboard.press("Enter");
  }

  /** Waits for a text that came in. */
  async hear(text) {
    await this.page
      .waitForFunction(
        (text) =>
          [...document.querySelector("msrp-chat").shadowRoot.querySelectorAll(".entry.in .bubble.text")].some((bubble) => bubble.textContent === text),
        {},
        text,
      )
      .catch(async (error) => {
        throw new Error(`${JSON.stringify(text)} did not come; the page says: ${await this.text()}`, { cause: error });
      });
  }

  /** Waits until the last thing that was sent has a state. */
  async last(state) {
    await this.page
      .waitForFunction(
        (state) => [...document.querySelector("msrp-chat").shadowRoot.querySelectorAll(".entry.out")].at(-1)?.classList.contains(state),
        { timeout: 2 * guard },
        state,
      )
      .catch(async (error) => {
        throw new Error(`the last message is not ${state}; the page says: ${await this.text()}`, { cause: error });
      });
  }

  /** Waits until the page says what a pattern matches. */
  async says(pattern) {
    await this.page
      .waitForFunction(
        (source) => new RegExp(source, "s").test(document.body.innerText + document.querySelector("msrp-chat").shadowRoot.querySelector("section").innerText),
        { timeout: 2 * guard },
        pattern.source,
      )
      .catch(async (error) => {
        throw new Error(`the page does not say ${pattern} but: ${await this.text()}`, { cause: error });
      });
  }

  /** Everything the page says. */
  async text() {
    return this.page.evaluate(() => document.body.innerText + document.querySelector("msrp-chat").shadowRoot.querySelector("section").innerText);
  }

  /** Picks a file with the paper clip. */
  async attach(file) {
    const input = await this.page.waitForSelector("msrp-chat >>> input[type=file]:enabled");
    await input.uploadFile(file);
  }

  /** Drops a file on the conversation. */
  async drop(name, type, octets) {
    await this.page.evaluate(
      (name, type, base64) => {
        const octets = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([octets], name, { type }));
        const root = document.querySelector("msrp-chat").shadowRoot.querySelector("section");
        for (const kind of ["dragenter", "dragover", "drop"]) {
          root.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
        }
      },
      name,
      type,
      octets.toString("base64"),
    );
  }

  /** Waits for the file that came last, saves it, and returns what is in it. */
  async save(t) {
    const dir = await directory(t);
    const client = await this.page.createCDPSession();
    await client.send("Browser.setDownloadBehavior", {
      behavior: "allow",
      browserContextId: this.page.browserContext().id,
      downloadPath: dir,
      eventsEnabled: true,
    });
    const ended = new Promise((resolve, reject) => {
      client.on("Browser.downloadProgress", ({ state }) => {
        if (state === "completed") resolve();
        if (state === "canceled") reject(new Error("the download was canceled"));
      });
    });
    const begun = once(client, "Browser.downloadWillBegin");
    const link = await this.page.waitForSelector("msrp-chat >>> .entry.in.received:last-child a[download]", { timeout: 2 * guard });
    await link.click();
    const [{ suggestedFilename }] = await begun;
    await ended;
    await client.detach();
    return { name: suggestedFilename, data: await readFile(path.join(dir, suggestedFilename)) };
  }
}

/** A picture of noise, which no step can compress: about 3 octets a pixel. */
export async function picture(browser, width, height) {
  const page = await browser.newPage();
  const base64 = await page.evaluate(
    async (width, height) => {
      const canvas = new OffscreenCanvas(width, height);
      const context = canvas.getContext("2d");
      const image = context.createImageData(width, height);
      for (let at = 0; at < image.data.length; at += 65536) crypto.getRandomValues(image.data.subarray(at, at + 65536));
      for (let at = 3; at < image.data.length; at += 4) image.data[at] = 255;
      context.putImageData(image, 0, 0);
      const reader = new FileReader();
      reader.readAsDataURL(await canvas.convertToBlob({ type: "image/png" }));
      await new Promise((resolve) => (reader.onload = resolve));
      return reader.result.split(",")[1];
    },
    width,
    height,
  );
  await page.close();
  return Buffer.from(base64, "base64");
}

export const sha256 = (octets) => createHash("sha256").update(octets).digest("hex");

/** A whole conversation between a person and a native peer that saves files. */
export async function talk(t, person, peer, image) {
  await peer.event("connected");
  for (const text of languages) {
    await person.say(text);
    assert.equal((await peer.event("message")).text, text);
    await person.last("delivered");
    if (text.includes("\n")) continue; // a line of the terminal is one message
    peer.write(text);
    await person.hear(text);
    await peer.event("delivered");
  }
  await person.drop("to peer.png", "image/png", image);
  const { file, sha256: sum } = await peer.event("message");
  assert.equal(path.basename(file), "to peer.png");
  assert.equal(sum, sha256(image));
  assert.equal(sha256(await readFile(file)), sha256(image));
  await person.last("delivered");

  const back = path.join(await directory(t), "from peer.png");
  await writeFile(back, image);
  peer.write(`/file ${back}`);
  const saved = await person.save(t);
  assert.equal(saved.name, "from peer.png");
  assert.equal(sha256(saved.data), sha256(image));
  await peer.event("delivered");
}
