// Bad networks: connections break, or die without a word, and nothing is lost, or
// shown twice, or in another order.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { browsers, freePort, guard, openPage, policies, startDev, startNetwork, startPeer, startSite } from "./rig.mjs";

/** The site with the tests' own script, a server, and a network before it. */
async function startAll(t, ...flags) {
  const inPage = await readFile(new URL("in-page.js", import.meta.url));
  const site = await startSite(t, (variant, file) => ({ body: file === "in-page.js" ? inPage : undefined, headers: { "Content-Security-Policy": policies(variant, file) } }));
  const server = await startDev(t, `--origin=${site.origin}`, ...flags);
  const network = await startNetwork(t, server.url);
  const address = (host, name, { origin } = network) => {
    const settings = new URLSearchParams({ relay: `${origin}/msrp`, rendezvous: `${origin}/rendezvous`, name, worker: String(host === "worker") });
    return `${site.origin}/${host}/?${settings}`;
  };
  return { server, network, address, site };
}

/** What a broken connection makes browsers say on the console. */
const expected = /WebSocket|ws:|ERR_|NS_ERROR/;

/** A page that gets credentials from the server, also from one that was started anew. */
async function open(t, browser, { server, address }, host, name, network) {
  const page = await openPage(t, browser, address(host, name, network), { expected });
  await page.exposeFunction("credentials", async () => (await fetch(new URL(`credentials?name=${name}`, server.url))).json());
  return page;
}

/** A page with a client and a name at the rendezvous. */
async function openParty(t, browser, all, host, name, network) {
  const page = await open(t, browser, all, host, name, network);
  await page.evaluate(async () => {
    const api = await import("./in-page.js");
    const { Rendezvous } = await import("./signalling/rendezvous.js");
    const settings = new URLSearchParams(location.search);
    const { credentials } = window;
    const client = await api.connect({ credentials });
    const rendezvous = await Rendezvous.connect(settings.get("rendezvous"), { name: settings.get("name"), credentials });
    const heard = [];
    const states = [];
    const watch = (session, call) => {
      session.addEventListener("message", async ({ message }) => {
        heard.push(message.text());
        dispatchEvent(new Event("heard"));
      });
      session.addEventListener("connectionstatechange", () => states.push(session.connectionState));
      Object.assign(window, { session, call });
    };
    rendezvous.addEventListener("incoming", async ({ call }) => {
      const session = client.createSession();
      watch(session, call);
      await session.setRemoteDescription({ type: "offer", sdp: call.offer });
      call.answer((await session.createAnswer()).sdp);
      call.keep(session);
    });
    window.dial = async (name) => {
      const session = client.createSession();
      watch(session);
      const { call, answer } = await rendezvous.call(name, (await session.createOffer()).sdp);
      await session.setRemoteDescription({ type: "answer", sdp: answer });
      call.keep(session);
      window.call = call;
      await api.reaches(session, "connected");
    };
    window.hears = async (count) => {
      while (heard.length < count) await api.next(window, "heard");
      return Promise.all(heard);
    };
    Object.assign(window, { api, client, rendezvous, states });
  });
  return page;
}

async function startTalk(t, browser, host, ...flags) {
  const all = await startAll(t, ...flags);
  const [alice, bob] = [await openParty(t, browser, all, host, "alice"), await openParty(t, browser, all, host, "bob")];
  await alice.evaluate(() => window.dial("bob"));
  return { ...all, alice, bob };
}

for (const [browserName, start] of Object.entries(browsers)) {
  for (const host of ["worker", "page"]) {
    test(`a conversation goes on after its connections were reset in ${browserName} (${host})`, { timeout: 4 * guard }, async (t) => {
      const browser = await start(t);
      const { network, alice, bob } = await startTalk(t, browser, host);
      await alice.evaluate(() => window.session.send("before").delivered);
      const again = alice.evaluate(() => window.api.reaches(window.session, "disconnected").then(() => window.api.reaches(window.session, "connected")));
      network.reset();
      await again;
      await alice.evaluate(() => window.session.send("after").delivered);
      await bob.evaluate(() => window.session.send("back").delivered);
      assert.deepEqual(await bob.evaluate(() => window.hears(2)), ["before", "after"]);
      assert.deepEqual(await alice.evaluate(() => window.hears(1)), ["back"]);
    });
  }
}

/** Sends texts, a few at a time, until all have settled; returns how those ended that were not delivered. */
async function sendAll(texts) {
  const failures = [];
  const under = new Set();
  for (const text of texts) {
    const sending = window.session.send(text).delivered.catch((error) => failures.push(`${text}: ${error}`)).finally(() => under.delete(sending));
    under.add(sending);
    if (under.size >= 8) await Promise.race(under);
  }
  await Promise.all(under);
  return failures;
}

test("a connection that carries nothing more is found out", { timeout: 4 * guard }, async (t) => {
  const browser = await browsers.Chromium(t);
  const { network, alice, bob } = await startTalk(t, browser, "worker");
  network.freeze();
  await Promise.all([alice, bob].map((page, who) => page.evaluate((who) => window.session.send(`${who} after`).delivered, who)));
  assert.deepEqual(await bob.evaluate(() => window.hears(1)), ["0 after"]);
  assert.deepEqual(await alice.evaluate(() => window.hears(1)), ["1 after"]);
});

for (const signal of ["SIGTERM", "SIGKILL"]) {
  test(`a conversation goes on after the proxy has ended by ${signal} and started anew`, { timeout: 4 * guard }, async (t) => {
    const browser = await browsers.Chromium(t);
    const same = [`--listen=127.0.0.1:${await freePort()}`, "--drain-timeout=1s"];
    const { server, site, alice, bob } = await startTalk(t, browser, "worker", ...same);
    const sending = alice.evaluate(async () => {
      await window.api.reaches(window.client, "reconnecting");
      return window.session.send("meanwhile").delivered;
    });
    server.kill(signal);
    await server.ended;
    await startDev(t, `--origin=${site.origin}`, ...same);
    await sending;
    await bob.evaluate(() => window.session.send("back").delivered);
    assert.deepEqual(await bob.evaluate(() => window.hears(1)), ["meanwhile"]);
    assert.deepEqual(await alice.evaluate(() => window.hears(1)), ["back"]);
  });
}

test("a session moves before the relay's token wears out", { timeout: 4 * guard }, async (t) => {
  const browser = await browsers.Chromium(t);
  const { alice, bob } = await startTalk(t, browser, "worker", "--token-time=4s");
  const both = [alice, bob];
  // Whoever is first offers, and both move.
  for (let round = 0; round < 3; round++) {
    await Promise.race(both.map((page) => page.evaluate(() => window.api.next(window.session, "negotiationneeded").then(() => {}))));
    await Promise.all(both.map((page, who) => page.evaluate((text) => window.session.send(text).delivered, `${who} ${round}`)));
  }
  for (const [who, page] of both.entries()) {
    assert.deepEqual(await page.evaluate(() => window.hears(3)), [0, 1, 2].map((round) => `${1 - who} ${round}`));
    assert.deepEqual((await page.evaluate(() => window.states)).filter((state) => state !== "connecting"), ["connected"]);
  }
});

test("a peer that may show things twice is not sent to again, but by hand", { timeout: 4 * guard }, async (t) => {
  const browser = await browsers.Chromium(t);
  const all = await startAll(t);
  const { server, network } = all;
  const page = await open(t, browser, all, "worker", "alice");
  await page.evaluate(async (relay) => {
    const api = await import("./in-page.js");
    const { credentials } = window;
    const [near, far] = [await api.connect({ credentials }), await api.MsrpClient.connect(relay, { credentials })];
    const [alice, bob] = [near.createSession(), far.createSession()];
    const foreign = ({ type, sdp }) => ({ type, sdp: sdp.replace("a=webmsrp-resumes\r\n", "") });
    const exchange = async () => {
      await bob.setRemoteDescription(foreign(await alice.createOffer()));
      await alice.setRemoteDescription(foreign(await bob.createAnswer()));
    };
    const heard = [];
    bob.addEventListener("message", ({ message }) => heard.push(message.text()) && dispatchEvent(new Event("heard")));
    window.hears = async (count) => {
      while (heard.length < count) await api.next(window, "heard");
      return Promise.all(heard);
    };
    await exchange();
    for (const session of [alice, bob]) session.addEventListener("negotiationneeded", () => {});
    alice.addEventListener("negotiationneeded", exchange);
    Object.assign(window, { api, alice });
  }, `${server.url.replace("http", "ws")}msrp`);
  for (const from of [true, false]) {
    await page.evaluate(() => window.api.reaches(window.alice, "connected"));
    network.freeze({ from });
    await page.evaluate((from) => void (window.message = window.alice.send(`doubtful ${from}`)), from);
    // Where it passes, it has come before nobody can be told.
    if (!from) await page.evaluate(() => window.hears(3));
    network.reset();
    await page.evaluate(async () => {
      const { alice, api, message } = window;
      const error = await api.refusal(message.delivered, { kind: "lost", messageId: message.messageId });
      api.check(/may have arrived.*send it again/.test(error.message), error.message);
      const waiting = alice.send("meanwhile"); // of which nothing was sent
      const again = alice.send("doubtful again", { again: message });
      await Promise.all([waiting.delivered, again.delivered]);
    });
  }
  // The peer is one of ours after all, and remembers what it has.
  assert.deepEqual(await page.evaluate(() => window.hears(4)), ["meanwhile", "doubtful again", "doubtful false", "meanwhile"]);
});

test("a page that was offline goes on", { timeout: 4 * guard }, async (t) => {
  const browser = await browsers.Chromium(t);
  const { network, alice, bob } = await startTalk(t, browser, "worker");
  const back = alice.evaluate(() => window.api.next(window, "offline").then(() => window.api.next(window, "online")));
  await alice.setOfflineMode(true);
  network.reset();
  await alice.evaluate(() => window.api.reaches(window.session, "disconnected"));
  const sending = alice.evaluate(() => window.session.send("written offline").delivered);
  await alice.setOfflineMode(false);
  await back;
  await sending;
  assert.deepEqual(await bob.evaluate(() => window.hears(1)), ["written offline"]);
});

const [texts, cuts] = process.env.SOAK ? [500, 50] : [100, 5];

test("messages that were on their way to who was cut off come all the same", { timeout: 4 * guard }, async (t) => {
  const browser = await browsers.Chromium(t);
  const all = await startAll(t);
  const bobs = await startNetwork(t, all.server.url);
  const [alice, bob] = [await openParty(t, browser, all, "worker", "alice"), await openParty(t, browser, all, "worker", "bob", bobs)];
  await alice.evaluate(() => window.dial("bob"));
  const wanted = Array.from({ length: texts }, (_, number) => `${number}`);
  const sent = alice.evaluate(sendAll, wanted);
  const over = sent.then(() => true);
  for (let cut = 0; cut < cuts && !(await Promise.race([over, bobs.passed(1 + Math.random() * 30_000)])); cut++) bobs.reset();
  assert.deepEqual(await sent, []);
  assert.deepEqual(await bob.evaluate(() => window.hears(0)), wanted);
});

test(`${texts} messages each way come once and in order through ${cuts} cuts`, { timeout: (process.env.SOAK ? 20 : 4) * guard }, async (t) => {
  const browser = await browsers.Chromium(t);
  const { network, alice, bob } = await startTalk(t, browser, "worker");
  const both = [alice, bob];
  const wanted = both.map((_, who) => Array.from({ length: texts }, (_, number) => `${who} ${number}`));
  const all = Promise.all(both.map((page, who) => page.evaluate(sendAll, wanted[who])));
  const over = all.then(() => true);
  let cut = 0;
  while (cut < cuts && !(await Promise.race([over, network.passed(1 + Math.random() * 60_000)]))) {
    network.reset();
    cut++;
  }
  assert.equal(cut, cuts, "cuts before all was said");
  assert.deepEqual(await all, [[], []]);
  for (const [who, page] of both.entries()) assert.deepEqual(await page.evaluate(() => window.hears(0)), wanted[1 - who]);
});

test(`${texts} messages each way between a page and a peer without a browser through ${cuts} cuts`, { timeout: (process.env.SOAK ? 20 : 4) * guard }, async (t) => {
  const browser = await browsers.Chromium(t);
  const all = await startAll(t);
  const page = await openParty(t, browser, all, "worker", "alice");
  const peer = startPeer(t, "--name=bob", `--rendezvous=${all.network.origin}/rendezvous`, "--listen=127.0.0.1:0");
  await peer.event("registered");
  await page.evaluate(() => window.dial("bob"));
  const [here, there] = [0, 1].map((who) => Array.from({ length: texts }, (_, number) => `${who} ${number}`));
  const sent = page.evaluate(sendAll, here);
  for (const text of there) peer.write(text);
  const said = (async () => {
    const came = [];
    while (came.length < texts) came.push((await peer.event("message")).text);
    return came;
  })();
  const over = Promise.all([sent, said, page.evaluate((count) => window.hears(count).then(() => {}), texts)]).then(() => true);
  for (let cut = 0; cut < cuts && !(await Promise.race([over, all.network.passed(1 + Math.random() * 60_000)])); cut++) all.network.reset();
  assert.deepEqual(await sent, []);
  assert.deepEqual(await said, here);
  await over;
  assert.deepEqual(await page.evaluate(() => window.hears(0)), there);
});
