// SIP over a WebSocket, through Kamailio: pages call and are called by native
// peers, which speak SIP over TCP, and by each other.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test as nodeTest } from "node:test";
import { hasKamailio, startRegistrar } from "./kamailio.mjs";
import { directory, freePort, openPage, sha256, startBrowser, startDev, startPeer } from "./rig.mjs";

const skip = hasKamailio ? false : "NOT TESTED: there is no Kamailio here";
const test = (name, run) => nodeTest(name, { skip }, run);

/** Runs in the page: window.phone is a user at a SIP server. */
async function install({ server, name, password, secure, reconnect }) {
  const { MsrpClient } = await import("/webmsrp.js");
  const { Sip } = await import("/signalling/sip.js");
  const client = await MsrpClient.connect("/msrp", { credentials: async () => (await fetch("/credentials?name=alice")).json() });
  const sip = await Sip.connect(server, { name, password, reconnect });
  const noted = [];
  let waiting = () => {};
  /** What happened, in its order. */
  const note = (event) => {
    noted.push(event);
    waiting();
  };
  const phone = {
    client,
    sip,
    /** Waits for what happens next, of some kind. */
    async next(kind) {
      for (;;) {
        const at = noted.findIndex((event) => event.kind === kind);
        if (at >= 0) return noted.splice(at, 1)[0];
        await new Promise((resolve) => (waiting = resolve));
      }
    },
    begin() {
      const session = client.createSession({ secure });
      session.addEventListener("message", async ({ message }) => {
        const octets = await message.arrayBuffer();
        const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", octets));
        const sum = Array.from(digest, (octet) => octet.toString(16).padStart(2, "0")).join("");
        note({ kind: "message", text: message.fileName ? null : new TextDecoder().decode(octets), file: message.fileName, sum });
      });
      session.addEventListener("composing", ({ active }) => note({ kind: "composing", active }));
      return (phone.session = session);
    },
    talk(call) {
      phone.call = call;
      call.keep(phone.session);
      call.addEventListener("bye", () => {
        note({ kind: "bye", reason: call.reason });
        phone.session.close();
      });
    },
    async dial(to, signal) {
      const session = phone.begin();
      const { sdp } = await session.createOffer();
      const { call, answer } = await sip.call(to, sdp, { signal });
      await session.setRemoteDescription({ type: "answer", sdp: answer });
      phone.talk(call);
      return { peer: call.peer, answer };
    },
    send: (text) => phone.session.send(text).delivered,
    sendFile: (name, octets) => phone.session.sendFile(new File([octets], name)).delivered,
  };
  sip.addEventListener("incoming", async ({ call }) => {
    if (phone.refuses) {
      call.refuse(phone.refuses, "not now");
      return;
    }
    const session = phone.begin();
    await session.setRemoteDescription({ type: "offer", sdp: call.offer });
    call.answer((await session.createAnswer()).sdp);
    phone.talk(call);
    note({ kind: "called", peer: call.peer });
  });
  sip.addEventListener("message", ({ from, contentType, body }) => note({ kind: "sms", from, contentType, body }));
  sip.closed.then((error) => note({ kind: "closed", message: error?.message }));
  window.phone = phone;
}

/** What broken connections make Chromium say on the console, at the latest when the servers end with the test. */
const expected = /WebSocket connection to|ERR_CONNECTION|ERR_SOCKET|Failed to load resource/;

/** A page with a user at a SIP server. */
async function openPhone(t, browser, url, registrar, name, options = {}) {
  const page = await openPage(t, browser, url, { expected });
  await page.evaluate(install, { server: registrar.webSocket, name: registrar.address(name), password: "secret", ...options }).catch((error) => assert.fail(`${error.message}\n${registrar.kamailio.output}`));
  return {
    page,
    next: (kind) => page.evaluate((kind) => window.phone.next(kind), kind),
    dial: (to) => page.evaluate((to) => window.phone.dial(to), to),
    send: (text) => page.evaluate((text) => window.phone.send(text), text),
    bye: (reason) => page.evaluate((reason) => window.phone.call.bye(reason), reason),
    /** What a call comes to that does not come about. */
    refused: (to) =>
      page.evaluate(
        (to) =>
          window.phone.dial(to).then(
            () => "a call",
            ({ name, code, message }) => ({ name, code, message }),
          ),
        to,
      ),
  };
}

/** The arguments of a native peer of a registrar. */
const user = (registrar, name, ...args) => [`--sip=${registrar.address(name)};transport=tcp`, "--sip-password=secret", ...args];

/** 5 MB. */
const file = Buffer.from(Uint32Array.from({ length: 1_250_000 }, (_, at) => Math.imul(at, 2654435761)).buffer);

for (const [way, tls] of [["TCP", []], ["TLS", ["--tls"]]]) {
  test(`page and native peer, MSRP over ${way}`, async (t) => {
    const registrar = await startRegistrar(t);
    const server = await startDev(t);
    const received = await directory(t);
    const bob = startPeer(t, ...user(registrar, "bob", "--register", "--listen=127.0.0.1:0", `--receive=${received}`, ...tls));
    await bob.event("registered");
    const browser = await startBrowser(t);
    const alice = await openPhone(t, browser, server.url, registrar, "alice", { secure: tls.length > 0 });
    const { peer, answer } = await alice.dial("bob");
    assert.equal(peer, "bob");
    assert.match(answer, tls.length > 0 ? /^m=message \d+ TCP\/TLS\/MSRP \*\r$/m : /^m=message \d+ TCP\/MSRP \*\r$/m);
    assert.equal((await bob.event("connected")).peer, registrar.address("alice"));

    await alice.send("Grüße über SIP 👋");
    assert.equal((await bob.event("message")).text, "Grüße über SIP 👋");
    bob.write("und zurück");
    assert.equal((await alice.next("message")).text, "und zurück");
    await bob.event("delivered");

    await alice.page.evaluate(async (octets) => {
      const data = Uint32Array.from({ length: octets / 4 }, (_, at) => Math.imul(at, 2654435761));
      await window.phone.sendFile("there.bin", data);
    }, file.length);
    const saved = await bob.event("message");
    assert.equal(path.basename(saved.file), "there.bin");
    assert.equal(saved.sha256, sha256(file));
    const back = path.join(await directory(t), "back.bin");
    await writeFile(back, file);
    bob.write(`/file ${back}`);
    assert.deepEqual(await alice.next("message"), { kind: "message", text: null, file: "back.bin", sum: sha256(file) });
    await bob.event("delivered");

    bob.kill("SIGTERM");
    assert.deepEqual(await alice.next("bye"), { kind: "bye", reason: "the session is over" });
  });
}

test("a native peer calls the page, which hangs up", async (t) => {
  const registrar = await startRegistrar(t);
  const server = await startDev(t);
  const alice = await openPhone(t, await startBrowser(t), server.url, registrar, "alice");
  const bob = startPeer(t, ...user(registrar, "bob", "--listen=127.0.0.1:0", `--call=${registrar.address("alice")}`));
  assert.equal((await alice.next("called")).peer, registrar.address("bob"));
  await bob.event("connected");
  bob.write("are you there?");
  assert.equal((await alice.next("message")).text, "are you there?");
  await alice.send("yes");
  assert.equal((await bob.event("message")).text, "yes");
  await alice.bye("that is all");
  await bob.event("closed");
  assert.equal(await bob.ended, 0, bob.output);
});

test("two pages", async (t) => {
  const registrar = await startRegistrar(t);
  const server = await startDev(t);
  const browser = await startBrowser(t);
  const alice = await openPhone(t, browser, server.url, registrar, "alice");
  const bob = await openPhone(t, browser, server.url, registrar, "bob");
  for (const [one, other, name] of [[alice, bob, "bob"], [bob, alice, registrar.address("alice")]]) {
    await one.dial(name);
    await other.next("called");
    await one.page.evaluate(() => window.phone.session.setComposing(true));
    assert.equal((await other.next("composing")).active, true);
    await one.send("hello");
    assert.equal((await other.next("message")).text, "hello");
    await other.send("and back");
    assert.equal((await one.next("message")).text, "and back");
    await one.bye("that is all");
    assert.equal((await other.next("bye")).reason, "that is all");
    assert.equal((await one.next("bye")).reason, "that is all");
  }

  // Outside of any call.
  await alice.page.evaluate(() => window.phone.sip.message("bob", "Grüße außerhalb"));
  assert.deepEqual(await bob.next("sms"), { kind: "sms", from: registrar.address("alice"), contentType: "text/plain", body: "Grüße außerhalb" });
  const nowhere = await alice.page.evaluate(() => window.phone.sip.message("nobody", "hello").catch(({ code }) => code));
  assert.equal(nowhere, 404);

  // Who rings can give up, and who leaves takes leave.
  await bob.page.evaluate(() => {
    window.phone.sip.dispatchEvent = ((dispatch) => (event) => (event.type === "incoming" ? (window.ringing = event.call) && window.rang() : dispatch.call(window.phone.sip, event)))(window.phone.sip.dispatchEvent);
    window.ring = new Promise((resolve) => (window.rang = resolve));
  });
  await alice.page.evaluate(() => {
    window.giving = new AbortController();
    window.given = window.phone.dial("bob", window.giving.signal).catch((error) => error);
  });
  await bob.page.evaluate(() => window.ring);
  const given = await alice.page.evaluate(() => {
    window.giving.abort(new Error("enough"));
    return window.given.then(({ message }) => message);
  });
  assert.equal(given, "enough");
  await bob.page.evaluate(() => window.ringing.over || new Promise((resolve) => window.ringing.addEventListener("bye", resolve)));
  assert.equal(await bob.page.evaluate(() => window.ringing.reason), "canceled");
});

test("a conversation goes on after the relay was started anew", async (t) => {
  const registrar = await startRegistrar(t);
  const same = [`--listen=127.0.0.1:${await freePort()}`, "--drain-timeout=1s"];
  const server = await startDev(t, ...same);
  const bob = startPeer(t, ...user(registrar, "bob", "--register", "--listen=127.0.0.1:0"));
  await bob.event("registered");
  const alice = await openPhone(t, await startBrowser(t), server.url, registrar, "alice");
  await alice.dial("bob");
  await alice.send("before");
  assert.equal((await bob.event("message")).text, "before");
  const sending = alice.page.evaluate(async () => {
    const { client, session } = window.phone;
    while (client.connectionState !== "reconnecting") await new Promise((resolve) => client.addEventListener("connectionstatechange", resolve, { once: true }));
    const texts = ["one", "two", "three"];
    await Promise.all(texts.map((text) => session.send(text).delivered));
  });
  server.kill("SIGTERM");
  await server.ended;
  bob.write("meanwhile");
  await startDev(t, ...same);
  await sending;
  for (const text of ["one", "two", "three"]) assert.equal((await bob.event("message")).text, text);
  assert.equal((await alice.next("message")).text, "meanwhile");
  bob.write("after");
  assert.equal((await alice.next("message")).text, "after");
  await alice.bye("that is all");
  await bob.event("closed");
});

test("a conversation goes on after the SIP server was started anew, and so does all else", async (t) => {
  const registrar = await startRegistrar(t);
  const server = await startDev(t);
  const bob = startPeer(t, ...user(registrar, "bob", "--register", "--listen=127.0.0.1:0"));
  await bob.event("registered");
  const browser = await startBrowser(t);
  const alice = await openPhone(t, browser, server.url, registrar, "alice");
  await alice.dial("bob");
  await alice.send("before");
  assert.equal((await bob.event("message")).text, "before");
  const reaches = (state) =>
    alice.page.evaluate(async (state) => {
      const { sip } = window.phone;
      while (sip.connectionState !== state) await new Promise((resolve) => sip.addEventListener("connectionstatechange", resolve, { once: true }));
    }, state);
  registrar.kamailio.kill("SIGTERM");
  await registrar.kamailio.ended;
  await reaches("reconnecting");
  await alice.send("without signalling");
  assert.equal((await bob.event("message")).text, "without signalling");
  const again = await startRegistrar(t, registrar.port);
  await reaches("connected");
  await again.kamailio.line((line) => line.includes("registered bob"));
  bob.write("/renew");
  await bob.event("moved");
  await alice.send("at another place");
  assert.equal((await bob.event("message")).text, "at another place");
  bob.kill("SIGTERM");
  assert.deepEqual(await alice.next("bye"), { kind: "bye", reason: "the session is over" });
});

test("what goes wrong is said", async (t) => {
  const registrar = await startRegistrar(t);
  const server = await startDev(t);
  const browser = await startBrowser(t);
  const alice = await openPhone(t, browser, server.url, registrar, "alice", { reconnect: false });
  for (const [name, ...args] of [["busy"], ["declines", "--decline=603"], ["unacceptable", "--decline=488"], ["secure", "--tls"]]) {
    const peer = startPeer(t, ...user(registrar, name, "--register", "--listen=127.0.0.1:0", ...args));
    await peer.event("registered");
  }
  const first = startPeer(t, ...user(registrar, "first", "--call=busy"));
  await first.event("connected");
  for (const [name, code, message] of [
    ["nobody", 404, /^nobody is not here\.$/],
    ["busy", 486, /^busy is busy\.$/],
    ["declines", 603, /^declines declined\.$/],
    ["unacceptable", 488, /^unacceptable cannot accept this conversation: .*takes no calls\.$/],
    ["secure", 488, /^secure cannot accept this conversation: .*over TLS only\.$/],
  ]) {
    const error = await alice.refused(name);
    assert.equal(error.name, "MsrpError", JSON.stringify(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
  }
  const connecting = (options) =>
    alice.page.evaluate(async (options) => {
      const { Sip } = await import("/signalling/sip.js");
      return Sip.connect(options.server, options).then(
        () => "connected",
        ({ name, code, message }) => ({ name, code, message }),
      );
    }, { server: registrar.webSocket, name: registrar.address("carol"), password: "secret", ...options });
  assert.match((await connecting({ password: "wrong" })).message, /^Wrong username or password\./);
  assert.equal((await connecting({ password: "wrong" })).code, 401);
  const another = await connecting({ username: "dave" });
  assert.equal(another.code, 403);
  assert.match(another.message, /^sip:carol@\S+ is not your address: Not your name\.$/);
  assert.match((await connecting({ name: "sip:nobody" })).message, /is not a SIP address/);

  // The server goes, and is gone.
  registrar.kamailio.kill("SIGTERM");
  assert.match((await alice.next("closed")).message, /connection to the SIP server was lost/);
  await registrar.kamailio.ended;
  assert.match((await connecting({})).message, /^The SIP server at ws:\/\/\S+ cannot be reached\.$/);
});
