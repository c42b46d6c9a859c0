// The whole API through the public module alone, in all browsers, with the
// core in a worker and on the page's thread. The page's policy is the one that
// web/README.md asks for: only what compiles WebAssembly may.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { browsers, guard, noWorkers, openPage, policies, startDev, startSite } from "./rig.mjs";
import { skip, startWebKit } from "./webkit.mjs";

/** Each runs in a page of its own client or clients, with in-page.js. */
const cases = {
  async "connecting and closing"({ MsrpClient, connect, equal, next, relay, usual }) {
    const client = await connect();
    equal(client.connectionState, "connected");
    equal(client.url, relay);
    const changed = next(client, "connectionstatechange");
    await client.close();
    await changed;
    equal(client.connectionState, "closed");
    equal(await client.closed, undefined);
    await client.close();
    const credentials = () => ({ username: usual.username, password: usual.password });
    const other = await MsrpClient.connect(new URL(relay.replace("ws:", "http:")), { credentials, worker: usual.worker });
    equal(other.url, relay);
    await other.close();
  },

  async "a wrong password, nobody there, no URL"({ MsrpClient, connect, refusal, check, usual }) {
    const wrong = await refusal(connect({ password: "wrong" }), { code: 401, kind: "status" });
    check(/password/.test(wrong.message), wrong.message);
    const absent = await refusal(MsrpClient.connect("ws://127.0.0.1:9/msrp", usual), { code: undefined, kind: "failed" });
    check(/ws:\/\/127\.0\.0\.1:9\/msrp: is the proxy running/.test(absent.message), absent.message);
    await refusal(MsrpClient.connect("ftp://127.0.0.1/", usual), { kind: "failed" });
    await refusal(connect({ credentials: () => ({ username: "alice", password: "wrong" }) }), { code: 401 });
  },

  async "two sessions, described over a MessageChannel"({ connect, next, equal, reaches }) {
    const [alice, bob] = await Promise.all([connect(), connect()]);
    const { port1, port2 } = new MessageChannel();
    const answering = (async () => {
      const session = bob.createSession();
      const { data } = await new Promise((resolve) => (port2.onmessage = resolve));
      await session.setRemoteDescription(data);
      const heard = next(session, "message");
      port2.postMessage(await session.createAnswer());
      const { message } = await heard;
      const text = await message.text();
      await session.send(`${text}, ${text}`).delivered;
      return session;
    })();
    const session = alice.createSession();
    equal(session.connectionState, "new");
    port1.postMessage(await session.createOffer());
    const { data } = await new Promise((resolve) => (port1.onmessage = resolve));
    await session.setRemoteDescription(data);
    const echoed = next(session, "message");
    await session.send("Grüße 👋").delivered;
    await reaches(session, "connected");
    equal(await (await echoed).message.text(), "Grüße 👋, Grüße 👋");
    await reaches(await answering, "connected");
    port1.close();
    await Promise.all([alice.close(), bob.close()]);
  },

  async "every body out, every way in"({ connect, pair, next, equal, check, pattern, streamOf, octetsOf, same }) {
    const client = await connect();
    const [alice, bob] = await pair(client);
    const bodies = (octets) => {
      const around = new Uint8Array([9, ...octets, 9]);
      return {
        ArrayBuffer: [octets.slice().buffer, "application/octet-stream"],
        Uint8Array: [around.subarray(1, -1), "application/octet-stream"],
        DataView: [new DataView(around.buffer, 1, octets.length), "application/octet-stream"],
        Blob: [new Blob([octets], { type: "image/x-test" }), "image/x-test"],
        ReadableStream: [streamOf(octets).stream, "application/octet-stream"],
        string: [String.fromCharCode(...octets.subarray(0, 50_000).map((octet) => octet & 127)), "text/plain"],
      };
    };
    const ways = {
      text: async (message) => new TextEncoder().encode(await message.text()),
      blob: async (message) => {
        const blob = await message.blob();
        equal(blob.type, message.contentType);
        return blob.arrayBuffer();
      },
      arrayBuffer: (message) => message.arrayBuffer(),
      body: (message) => octetsOf(message.body),
    };
    for (const size of [0, 1, 300_000]) {
      const octets = pattern(size).map((octet) => octet & 127); // text too
      for (const [way, read] of Object.entries(ways)) {
        for (const [kind, [body, type]] of Object.entries(bodies(octets))) {
          const what = `${kind} of ${size}, read with ${way}`;
          const wanted = typeof body === "string" ? new TextEncoder().encode(body) : octets;
          const arriving = next(bob, "message");
          const sending = alice.send(body);
          const { message } = await arriving;
          equal([message.messageId, message.contentType], [sending.messageId, type], what);
          equal(message.size ?? null, kind === "ReadableStream" ? message.size ?? null : wanted.length, what);
          equal(message.bodyUsed, false, what);
          check(same(await read(message), wanted), `the octets of ${what}`);
          equal(message.bodyUsed, true, what);
          let again;
          try {
            await message.text();
          } catch (error) {
            again = error;
          }
          check(again instanceof TypeError, `${what} is read once: ${again}`);
          await sending.delivered;
        }
      }
    }
    await client.close();
  },

  async "options of a message, and a file"({ connect, pair, next, equal, check, pattern, same }) {
    const client = await connect();
    const [alice, bob] = await pair(client);
    let arriving = next(bob, "message");
    const html = alice.send("<p>", { contentType: "text/html", disposition: "render", successReport: false });
    let { message } = await arriving;
    await html.sent;
    equal([html.state, message.contentType, message.disposition, message.fileName], ["sent", "text/html", "render", null]);
    check(message.from.startsWith("msrp:") && message.to.startsWith("msrp:"), `${message.from} ${message.to}`);
    arriving = next(bob, "message");
    const octets = pattern(200_000);
    const transfer = alice.sendFile(new File([octets], "zurück.png", { type: "image/png" }));
    ({ message } = await arriving);
    equal([transfer.name, message.fileName, message.contentType, message.size], ["zurück.png", "zurück.png", "image/png", 200_000]);
    check(same(await message.arrayBuffer(), octets), "its octets");
    await transfer.delivered;
    await client.close();
  },

  async "who composes, what was shown, what passes"({ connect, pair, next, equal, check }) {
    const client = await connect();
    const [alice, bob] = await pair(client);
    const composing = next(bob, "composing");
    alice.setComposing(true, { contentType: "text/plain" });
    const { active, contentType } = await composing;
    equal([active, contentType], [true, "text/plain"]);
    const [arriving, idle, told] = [next(bob, "message"), next(bob, "composing"), next(alice, "notification")];
    const traced = new Promise((resolve) => alice.addEventListener("trace", (event) => event.text.includes("Grüße") && resolve(event)));
    const sending = alice.send("Grüße", { wrapper: { from: { name: "Alice", uri: "sip:alice@example.com" } }, notify: ["display"] });
    const { message } = await arriving;
    equal([message.contentType, message.wrapper.from, await message.text()], ["text/plain;charset=UTF-8", { name: "Alice", uri: "sip:alice@example.com" }, "Grüße"]);
    equal([(await idle).active, bob.markDisplayed(message.messageId), bob.markDisplayed(message.messageId)], [false, true, false]);
    const { messageId, disposition, status } = await told;
    equal([messageId, disposition, status], [sending.messageId, "display", "displayed"]);
    const { outgoing, method, text } = await traced;
    equal([outgoing, method], [true, "SEND"]);
    check(text.includes(`Message-ID: ${sending.messageId}`), text);
    await client.close();
  },

  async "canceling what arrives stops the sender"({ connect, pair, next, equal, refusal, streamOf, pattern }) {
    const client = await connect();
    const [alice, bob] = await pair(client);
    const arriving = next(bob, "message");
    const { stream, noted } = streamOf(pattern(20 << 20), 65_536);
    const sending = alice.send(stream);
    const { message } = await arriving;
    const reader = message.body.getReader();
    await reader.read();
    await reader.cancel();
    await refusal(sending.delivered, { code: 413, messageId: sending.messageId });
    equal([sending.state, noted.canceled !== undefined], ["failed", true]);
    const more = next(bob, "message");
    await alice.send("still there").delivered;
    equal(await (await more).message.text(), "still there");
    await client.close();
  },

  async progress({ connect, pair, next, equal, check, pattern }) {
    const client = await connect();
    const [alice, bob] = await pair(client);
    const read = next(bob, "message").then(({ message }) => message.blob());
    const sending = alice.send(pattern(3_000_000));
    const seen = [];
    sending.addEventListener("progress", () => seen.push([sending.acknowledged, sending.state]));
    equal([sending.size, sending.acknowledged, sending.state], [3_000_000, 0, "sending"]);
    await sending.sent;
    equal(sending.acknowledged, 3_000_000);
    await sending.delivered;
    check(seen.length > 2 && seen[0][0] < 3_000_000, `told ${JSON.stringify(seen)}`);
    check(seen.every(([octets], at) => at === 0 || octets >= seen[at - 1][0]), "never back");
    equal([...new Set(seen.map(([, state]) => state))].at(-1), "delivered");
    equal((await read).size, 3_000_000);
    await client.close();
  },

  async "aborting, with a reason"({ connect, pair, next, equal, check, rejection, refusal, streamOf, pattern }) {
    const client = await connect();
    const [alice, bob] = await pair(client);
    const arriving = next(bob, "message");
    const { stream, noted } = streamOf(pattern(20 << 20), 65_536);
    const sending = alice.send(stream);
    const { message } = await arriving;
    const reading = message.text();
    reading.catch(() => {}); // it may be early
    const reason = new Error("changed my mind");
    sending.abort(reason);
    for (const promise of [sending.sent, sending.delivered]) check((await rejection(promise)) === reason, "the reason itself");
    check(sending.error === reason && noted.canceled?.reason === reason, "the stream hears it");
    await refusal(reading, {}, "reading what was aborted");
    const other = alice.send(pattern(5 << 20));
    other.abort();
    await refusal(other.sent, { kind: "aborted", messageId: other.messageId });
    await client.close();
  },

  async "signals"({ connect, pair, check, equal, rejection, pattern, streamOf }) {
    const reason = new Error("no more time");
    const aborted = AbortSignal.abort(reason);
    check((await rejection(connect({ signal: aborted }), "connect")) === reason, "connect");
    const later = new AbortController();
    const connecting = connect({ credentials: () => new Promise(() => {}), signal: later.signal });
    later.abort(reason);
    check((await rejection(connecting, "connect")) === reason, "connect, later");
    const client = await connect({ signal: new AbortController().signal });
    const [alice, bob] = await pair(client);
    const fresh = client.createSession();
    check((await rejection(fresh.createOffer({ signal: aborted }), "createOffer")) === reason, "createOffer");
    await fresh.setRemoteDescription(await client.createSession().createOffer());
    check((await rejection(fresh.createAnswer({ signal: aborted }), "createAnswer")) === reason, "createAnswer");
    check((await rejection(fresh.setRemoteDescription({ type: "answer", sdp: "v=0" }, { signal: aborted }), "setRemoteDescription")) === reason, "setRemoteDescription");
    check((await rejection(alice.probe({ signal: aborted }), "probe")) === reason, "probe");
    check((await rejection(alice.send("x", { signal: aborted }).sent, "send")) === reason, "send");
    const controller = new AbortController();
    const { stream, noted } = streamOf(pattern(20 << 20), 65_536);
    const sending = alice.send(stream, { signal: controller.signal });
    sending.addEventListener("progress", () => controller.abort(reason), { once: true });
    check((await rejection(sending.delivered, "send")) === reason, "send, later");
    equal(noted.canceled !== undefined, true);
    await alice.probe();
    await client.close();
    void bob;
  },

  async "what the other side does not take"({ connect, pair, next, equal, check, refusal, pattern }) {
    const client = await connect();
    const [alice, bob] = await pair(client, client, { acceptTypes: ["text/plain", "image/*"], maxSize: 1000 });
    const type = await refusal(alice.send("{}", { contentType: "application/json" }).sent, { kind: "type" });
    check(/type of content/.test(type.message), type.message);
    const size = await refusal(alice.send(pattern(1001), { contentType: "image/x-test" }).delivered, { kind: "size" });
    check(/larger/.test(size.message), size.message);
    const arriving = next(bob, "message");
    await alice.send(pattern(1000), { contentType: "image/x-test" }).delivered;
    equal((await arriving).message.size, 1000);
    for (const body of [undefined, 5, {}]) {
      let refused;
      try {
        alice.send(body);
      } catch (error) {
        refused = error;
      }
      check(refused instanceof TypeError, `${body} is no body`);
    }
    await client.close();
  },

  async bufferedAmount({ connect, next, equal, check, pattern }) {
    const client = await connect();
    const [alice, bob] = [client.createSession(), client.createSession()];
    equal(alice.bufferedAmount, 0);
    const sending = alice.send(pattern(2_000_000));
    equal(alice.bufferedAmount, 2_000_000);
    await bob.setRemoteDescription(await alice.createOffer());
    const reading = next(bob, "message").then(({ message }) => message.blob());
    const falls = [];
    sending.addEventListener("progress", () => falls.push(alice.bufferedAmount));
    await alice.setRemoteDescription(await bob.createAnswer());
    await sending.delivered;
    equal(alice.bufferedAmount, 0);
    check(falls.some((octets) => octets > 0 && octets < 2_000_000), "it falls step by step");
    await reading;
    await client.close();
  },

  // The 200s of the unread message are held back for some seconds, which end
  // well after the texts have gone to and fro beside it.
  async "who does not read holds up the sender, and nobody else"({ connect, pair, next, equal, check, pattern, streamOf, same }) {
    const client = await connect();
    const [alice, bob] = await pair(client);
    const [carol, dave] = await pair(client);
    const octets = pattern(24 << 20);
    const { stream, noted } = streamOf(octets, 65_536);
    const arriving = next(bob, "message");
    const sending = alice.send(stream);
    const { message } = await arriving;
    for (let round = 0; round < 40; round++) {
      const there = next(dave, "message");
      await carol.send(`to ${round}`).delivered;
      equal(await (await there).message.text(), `to ${round}`);
      const back = next(carol, "message");
      await dave.send(`fro ${round}`).delivered;
      equal(await (await back).message.text(), `fro ${round}`);
    }
    check(noted.pulled < 6 << 20, `${noted.pulled} octets were read from the stream of a message that nobody reads`);
    check(same(await message.arrayBuffer(), octets), "it comes whole");
    await sending.delivered;
    await client.close();
  },

  async "many sessions of one client"({ connect, pair, next, equal }) {
    const client = await connect();
    const pairs = await Promise.all(Array.from({ length: 20 }, () => pair(client)));
    await Promise.all(
      pairs.map(async ([alice, bob], number) => {
        const arriving = next(bob, "message");
        await alice.send(`for ${number}`).delivered;
        equal(await (await arriving).message.text(), `for ${number}`);
      }),
    );
    await client.close();
    for (const session of pairs.flat()) equal(session.connectionState, "closed");
  },

  async "closing in every state"({ connect, pair, next, equal, check, reaches, rejection, refusal, streamOf, pattern }) {
    const client = await connect();
    const over = async (session, what) => {
      equal(session.connectionState, "closed", what);
      equal(await session.closed, undefined, what);
      await session.close();
      await refusal(session.createOffer(), { kind: "closed" }, what);
      await refusal(session.setRemoteDescription({ type: "answer", sdp: "v=0" }), { kind: "closed" }, what);
      await refusal(session.probe(), { kind: "closed" }, what);
      await refusal(session.send("late").delivered, { kind: "closed" }, what);
    };
    const fresh = client.createSession();
    await fresh.close();
    await over(fresh, "new");

    const asking = client.createSession();
    const offering = asking.createOffer();
    offering.catch(() => {});
    await asking.close();
    await offering.catch(() => {}); // either way, but it does not hang
    await over(asking, "asking");

    const offered = client.createSession();
    const offer = await offered.createOffer();
    const waiting = offered.send("never");
    await offered.close();
    await refusal(waiting.sent, { kind: "closed" });
    await over(offered, "offered");

    const answered = client.createSession();
    await answered.setRemoteDescription(offer);
    await answered.createAnswer();
    await answered.close();
    await over(answered, "answered");

    const [alice, bob] = await pair(client);
    const arriving = next(bob, "message");
    const { stream, noted } = streamOf(pattern(20 << 20), 65_536);
    const sending = alice.send(stream);
    const { message } = await arriving;
    const reading = message.text();
    reading.catch(() => {}); // it may be early
    await alice.close();
    for (const promise of [sending.sent, sending.delivered]) await refusal(promise, { kind: "closed" });
    check(noted.canceled, "the stream ends");
    await over(alice, "sending");
    await bob.close();
    await rejection(reading, "reading");
    await over(bob, "reading");

    const [carol, dave] = await pair(client);
    await carol.send("hello").delivered;
    await reaches(carol, "connected");
    await dave.close();
    await refusal(carol.send("are you there?").delivered, { code: 481 });
    await reaches(carol, "failed");
    equal((await carol.closed).code, 481);
    await carol.close();
    equal(carol.connectionState, "failed");

    const [erin] = await pair(client);
    const dying = erin.createOffer();
    dying.catch(() => {});
    await client.close();
    await rejection(dying, "an offer of a closed client");
    equal(erin.connectionState, "closed");
    let refused;
    try {
      client.createSession();
    } catch (error) {
      refused = error;
    }
    equal(refused?.kind, "closed");
  },
};

/** A method of cases as a script for the page. */
const inside = (host, run) => `(async () => ({ ${run.toString().replace(/^async ("[^"]*"|\w+)/, "async run")} }).run(await import("/${host}/in-page.js")))()`;

/** What browsers themselves say where nobody is, and of refused passwords nothing. */
const nobodyThere = /ws:\/\/127\.0\.0\.1:9\//;

for (const [browserName, start] of Object.entries({ ...browsers, WebKitGTK: startWebKit })) {
  test(`the API in ${browserName}`, { skip: start === startWebKit && skip }, async (t) => {
    const inPage = await readFile(new URL("in-page.js", import.meta.url));
    const site = await startSite(t, (variant, file) => ({
      body: file === "in-page.js" ? inPage : undefined,
      headers: { "Content-Security-Policy": policies(variant, file) },
    }));
    const server = await startDev(t, `--origin=${site.origin}`);
    const browser = await start(t);
    const { username, password } = await (await fetch(new URL("credentials?name=alice", server.url))).json();
    const open = (t, host) => {
      const settings = new URLSearchParams({ relay: `${server.url.replace("http", "ws")}msrp`, username, password, worker: String(host === "worker") });
      return openPage(t, browser, `${site.origin}/${host}/?${settings}`, { expected: nobodyThere });
    };
    for (const [host, where] of [["worker", "in a worker"], ["page", "on the page's thread"]]) {
      await t.test(where, async (t) => {
        const page = await open(t, host);
        for (const [name, run] of Object.entries(cases)) {
          await t.test(name, { timeout: guard }, () => page.evaluate(inside(host, run)));
        }
        await noWorkers(page);
      });
    }

    await t.test("two pages", { timeout: guard }, async (t) => {
      const [alice, bob] = [await open(t, "worker"), await open(t, "page")];
      for (const [page, host] of [[alice, "worker"], [bob, "page"]]) {
        await page.evaluate(async (host) => {
          window.api = await import(`/${host}/in-page.js`);
          window.client = await window.api.connect();
          window.session = window.client.createSession();
          window.heard = window.api.next(window.session, "message").then(({ message }) => message.text());
        }, host);
      }
      const offer = await alice.evaluate(() => window.session.createOffer());
      const answer = await bob.evaluate(async (offer) => {
        await window.session.setRemoteDescription(offer);
        return window.session.createAnswer();
      }, offer);
      await alice.evaluate((answer) => window.session.setRemoteDescription(answer), answer);
      for (const [from, to, text] of [[alice, bob, "Grüße"], [bob, alice, "zurück 👋"]]) {
        await from.evaluate((text) => window.session.send(text).delivered, text);
        assert.equal(await to.evaluate(() => window.heard), text);
      }
      for (const page of [alice, bob]) await page.evaluate(() => window.client.close());
    });
  });
}
