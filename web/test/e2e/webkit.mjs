// WebKitGTK for the tests, through WebDriver, which is plain enough to be spoken
// with fetch (https://www.w3.org/TR/webdriver2/). Its pages do what the tests
// need of puppeteer's.

import assert from "node:assert/strict";
import { access } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { atEnd, freePort, Process } from "./rig.mjs";

const driver = process.env.WEBKIT_DRIVER ?? "/usr/bin/WebKitWebDriver";

/** Why tests with WebKitGTK are skipped, unless it is here. */
export const skip = await Promise.all([access(driver), access("/usr/bin/Xvfb")]).then(
  () => false,
  () => "NOT TESTED: there is no WebKitGTK with its driver here, or no Xvfb",
);

/** A browser of which each page is a process of its own, on a screen that nobody sees. */
export const startWebKit = async () => ({ openPage });

async function openPage(t, url, { expected = /(?!)/ } = {}) {
  const screen = new Process(t, "Xvfb", ["-displayfd", "1", "-screen", "0", "1024x720x24", "-nolisten", "tcp"]);
  const display = await screen.line((line) => line.match(/^\d+$/)?.[0]);
  const port = await freePort();
  const service = new Process(t, driver, [`--port=${port}`], { env: { ...process.env, DISPLAY: `:${display}` } });

  const command = async (method, path, body) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, body: body && JSON.stringify(body) });
    const { value } = await response.json();
    if (!response.ok) throw new Error(`${path}: ${value.error}: ${value.message}`);
    return value;
  };
  // The driver does not say when it has begun to listen.
  let over = false;
  service.ended.then(() => (over = true));
  while (!over && !(await command("GET", "/status").catch(() => undefined))) await pause(20);

  const { sessionId } = await command("POST", "/session", { capabilities: {} });
  const page = new Page((method, path, body) => command(method, `/session/${sessionId}${path}`, body));
  atEnd(t, async () => {
    const errors = await page.evaluate(() => window.errors).catch((error) => [String(error)]);
    await command("DELETE", `/session/${sessionId}`);
    assert.deepEqual(errors.filter((text) => !expected.test(text)), [], "the page has errors on its console");
  });
  await page.goto(url);
  return page;
}

const keys = { Enter: "\uE007", Shift: "\uE008" };

class Page {
  #command;

  constructor(command) {
    this.#command = command;
  }

  async goto(url) {
    await this.#command("POST", "/url", { url });
    await this.waitForFunction(() => document.hasFocus()); // else keys are lost
    // WebDriver does not show the console. What is written there before the page
    // is loaded stays unseen, and so does what the worker writes.
    await this.evaluate(() => {
      window.errors = [];
      const note = (text) => window.errors.push(String(text));
      for (const level of ["error", "warn"]) console[level] = (...words) => note(words.join(" "));
      addEventListener("error", ({ message, target }) => note(message ?? `${target.src ?? target.href} cannot be loaded`), true);
      addEventListener("unhandledrejection", ({ reason }) => note(reason));
      addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => note(`Content-Security-Policy: ${violatedDirective} ${blockedURI}`));
    });
  }

  /** Runs an expression or a function, and waits for what it promises. */
  evaluate(run, ...args) {
    const script = typeof run === "string" ? `return ${run}` : `return (${run})(...arguments)`;
    return this.#command("POST", "/execute/sync", { script, args });
  }

  /** Waits until a function in the page returns something that counts as true. */
  waitForFunction(run, options, ...args) {
    return this.evaluate(
      `(async (...args) => {
        let found;
        while (!(found = (${run})(...args))) await new Promise((resolve) => setTimeout(resolve, 20));
        return found;
      })(...arguments)`,
      ...args,
    );
  }

  /** Waits for an element that can be used; >>> leads into a shadow tree. */
  waitForSelector(selector) {
    return this.waitForFunction(
      (selectors) => {
        const found = selectors.reduce((found, selector) => (found?.shadowRoot ?? found)?.querySelector(selector), document);
        return !found?.matches(":disabled") && found;
      },
      {},
      selector.split(" >>> "),
    );
  }

  locator(selector) {
    const found = this.waitForSelector(selector);
    return {
      // WebKit's own click takes what is in a shadow tree for covered by its host.
      click: async () => this.evaluate((found) => (found.focus(), found.click()), await found),
      fill: async (text) => {
        await this.evaluate((found) => (found.focus(), found.select()), await found);
        await this.keyboard.sendCharacter(text);
      },
    };
  }

  keyboard = {
    down: (key) => this.#key("keyDown", keys[key]),
    up: (key) => this.#key("keyUp", keys[key]),
    press: (key) => this.keyboard.down(key).then(() => this.keyboard.up(key)),
    sendCharacter: async (text) => assert.ok(await this.evaluate((text) => document.execCommand("insertText", false, text), text), "nothing takes the text"),
  };

  #key(type, value) {
    return this.#command("POST", "/actions", { actions: [{ type: "key", id: "keyboard", actions: [{ type, value }] }] });
  }

  /** Waits until the page has no worker any more: each holds a lock. */
  noWorkers() {
    return this.evaluate(async () => {
      for (const { name } of (await navigator.locks.query()).held) await navigator.locks.request(name, () => {});
    });
  }
}
