// Takes the picture of the README: make screenshot.

import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Person, startBrowser, startDev } from "./rig.mjs";

const to = fileURLToPath(new URL("../../screenshot.png", import.meta.url));

/** A floor plan, as an operator might get it. */
async function plan(browser) {
  const page = await browser.newPage();
  await page.setViewport({ width: 420, height: 220, deviceScaleFactor: 2 });
  await page.setContent(`<body style="margin:0"><svg viewBox="0 0 420 220" width="420" height="220" font-family="sans-serif" font-size="12">
    <rect width="420" height="220" fill="#eef3f8"/>
    <g fill="#fff" stroke="#345" stroke-width="3"><rect x="20" y="20" width="120" height="90"/><rect x="140" y="20" width="150" height="90"/>
    <rect x="290" y="20" width="110" height="90"/><rect x="20" y="140" width="200" height="60"/><rect x="220" y="140" width="180" height="60"/></g>
    <path d="M65 125h280" stroke="#0b7a3b" stroke-width="5" stroke-dasharray="12 7"/><path d="M345 112l26 13-26 13z" fill="#0b7a3b"/>
    <circle cx="215" cy="62" r="20" fill="#d93025" opacity=".85"/><text x="195" y="98" fill="#d93025">fire, 3F</text>
    <g fill="#345"><text x="34" y="40">Stairwell B</text><text x="304" y="40">Exit north</text><text x="34" y="160">Offices</text></g></svg>`);
  const picture = await page.screenshot();
  await page.close();
  return Buffer.from(picture);
}

test("screenshot", async (t) => {
  const server = await startDev(t);
  const browser = await startBrowser(t);
  const size = { width: 960, height: 760 };
  const bob = await Person.open(t, browser, server.url, size);
  await bob.join("dispatch");
  await bob.status("ready");
  const alice = await Person.open(t, browser, server.url, size);
  await alice.join("alice");
  await alice.call("dispatch");
  await bob.status("talking");
  await alice.say("Smoke on the third floor, stairwell B is blocked.");
  await bob.hear("Smoke on the third floor, stairwell B is blocked.");
  await bob.drop("floor plan.png", "image/png", await plan(browser));
  await bob.last("delivered");
  const shown = await alice.page.waitForSelector("msrp-chat >>> .entry.in.received img");
  await alice.page.waitForFunction((img) => img.complete, {}, shown);
  await bob.say("Take the north exit. Four minutes. 🚒");
  await alice.hear("Take the north exit. Four minutes. 🚒");
  await alice.say("Understood, going now.");
  await alice.last("delivered");
  await alice.page.evaluate(() => document.querySelector("msrp-chat").shadowRoot.querySelector("textarea").blur());
  await alice.page.screenshot({ path: to });
});
