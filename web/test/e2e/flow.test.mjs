// Flow control in both directions: whoever reads slowly makes the other side send
// slowly, and neither holds more than a little, however long the message is. With
// SOAK=1 it is 1 GiB, and no task of a page takes 50 ms.

import assert from "node:assert/strict";
import { test } from "node:test";
import { memory, openPage, startBrowser, startDev } from "./rig.mjs";

const mebibyte = 1 << 20;
const size = (process.env.SOAK ? 1024 : 64) * mebibyte;

/** The most that a sender may be ahead of the application that reads. */
const maxAhead = 8 * mebibyte;

/** By how much a page's process may grow. */
const maxGrowth = 64 * mebibyte;

/** Opens two pages in processes of their own, each with a session to the other. */
async function startPair(t) {
  const server = await startDev(t);
  const { username, password } = await (await fetch(`${server.url}credentials?name=flow`)).json();
  const browser = await startBrowser(t);
  const pages = [];
  for (let i = 0; i < 2; i++) {
    const page = await openPage(t, browser, server.url);
    await page.evaluate(
      async (url, username, password) => {
        const { MsrpClient } = await import("/webmsrp.js");
        const session = (await MsrpClient.connect(url, { username, password })).createSession();
        const incoming = new Promise((resolve) => session.addEventListener("message", (e) => resolve(e.message), { once: true }));
        const longTasks = [];
        new PerformanceObserver((list) => longTasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: "longtask" });
        Object.assign(window, { session, incoming, longTasks, got: 0 });
      },
      `${server.url.replace("http", "ws")}msrp`,
      username,
      password,
    );
    pages.push(page);
  }
  const [alice, bob] = pages;
  const offer = await alice.evaluate(() => window.session.createOffer());
  const answer = await bob.evaluate(async (offer) => {
    await window.session.setRemoteDescription(offer);
    return window.session.createAnswer();
  }, offer);
  await alice.evaluate((answer) => window.session.setRemoteDescription(answer), answer);
  return { alice, bob };
}

/** Starts to send a stream that is made as it is read, of a pattern that shows what is missing. */
function send(page, size) {
  return page.evaluate((size) => {
    window.made = 0;
    const piece = 64 << 10;
    window.message = window.session.send(
      new ReadableStream(
        {
          pull(controller) {
            if (window.made === size) return controller.close();
            controller.enqueue(new Uint8Array(piece).fill((window.made / piece) % 251));
            window.made += piece;
          },
        },
        { highWaterMark: 0 },
      ),
    );
  }, size);
}

test("a reader holds the sender up, neither page grows, and no octet is lost", async (t) => {
  const { alice, bob } = await startPair(t);
  const before = await memory(alice, bob);
  await send(alice, size);
  // Nothing is read until no more is made, for as long as 300 questions take.
  await bob.evaluate(() => window.incoming);
  for (let before, made; before === undefined || before !== made; ) {
    before = made;
    for (let asked = 0; asked < 300; asked++) made = await alice.evaluate(() => window.made);
  }
  for (let got = 0; got < size; ) {
    // Not before the reader has got so far is more made.
    const made = await alice.evaluate(() => window.made);
    assert.ok(made - got < maxAhead, `${made - got} octets were taken from a sender before they were read`);
    got = await bob.evaluate(async (most) => {
      const piece = 64 << 10;
      window.reader ??= (await window.incoming).body.getReader();
      while (window.got < most) {
        const { done, value } = await window.reader.read();
        if (done) throw new Error(`the message ended after ${window.got} octets`);
        for (let at = 0; at < value.length; at += 64) {
          if (value[at] !== Math.floor((window.got + at) / piece) % 251) throw new Error(`octet ${window.got + at} is wrong`);
        }
        window.got += value.length;
      }
      return window.got;
    }, Math.min(got + 4 * mebibyte, size));
  }
  assert.equal(await bob.evaluate(async () => (await window.reader.read()).done), true);
  await alice.evaluate(() => window.message.delivered);
  for (const [pid, octets] of await memory(alice, bob)) {
    const growth = octets - before.get(pid);
    t.diagnostic(`a page has grown by ${(growth / mebibyte).toFixed(1)} MiB`);
    assert.ok(growth < maxGrowth, `a page has grown by ${growth} octets`);
  }
  if (process.env.SOAK) for (const page of [alice, bob]) assert.deepEqual(await page.evaluate(() => window.longTasks), []);
});
