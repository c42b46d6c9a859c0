// Files that are received to where they shall be, in both browsers, with the
// core in a worker and on the page's thread; those that are offered by SDP (RFC
// 5547), and go on after the network was cut. SOAK=1 makes it 1 GiB and 20 cuts.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { browsers, directory, guard, openPage, policies, sha256, startBrowser, startDev, startPeer, startSite } from "./rig.mjs";

const [mebibytes, cuts, patience] = process.env.SOAK ? [1024, 20, 20 * guard] : [24, 3, 2 * guard];

/** Each runs in a page of its own client, with in-page.js and the place for a file. */
const cases = {
  async "a message, to a file of the origin's own"({ connect, pair, next, equal, check, pattern, same }, handle) {
    const client = await connect();
    const [alice, bob] = await pair(client);
    for (const size of [0, 1, 3_000_000]) {
      const octets = pattern(size);
      const arriving = next(bob, "message");
      const transfer = alice.sendFile(new File([octets], "zurück.png", { type: "image/png" }));
      const file = (await arriving).message.save(handle);
      await file.verified;
      equal([file.name, file.type, file.size, file.received, file.state, file.blob], ["zurück.png", "image/png", size, size, "received", null]);
      check(same(await (await handle.getFile()).arrayBuffer(), octets), `the octets of ${size}`);
      await transfer.delivered;
    }
    await client.close();
  },

  async "one that was given up leaves the file free"({ connect, pair, next, equal, rejection, pattern }, handle) {
    const client = await connect();
    const [alice, bob] = await pair(client);
    const arriving = next(bob, "message");
    const transfer = alice.send(pattern(20 << 20));
    const file = (await arriving).message.save(handle);
    await next(file, "progress");
    file.abort();
    equal((await rejection(file.verified)).kind, "aborted");
    equal((await rejection(transfer.delivered)).code, 413);
    const again = next(bob, "message");
    alice.send("whole");
    await (await again).message.save(handle).verified;
    equal(await (await handle.getFile()).text(), "whole");
    await client.close();
  },

  async "what is not the file that was offered takes no place"({ connect, equal, check, pattern, rejection, usual }, handle) {
    const writing = await handle.createWritable();
    await writing.write("as it was");
    await writing.close();
    const client = await connect();
    const [mine, yours] = [client.createSession(), client.createSession()];
    let file;
    yours.addEventListener("fileoffer", ({ offer }) => (file = offer.accept(handle)));
    mine.sendFile(new Blob([pattern(3_000_000)]), { offer: true });
    const { type, sdp } = await mine.createOffer();
    await yours.setRemoteDescription({ type, sdp: sdp.replace(/sha-256:../, "sha-256:00") });
    const answer = await yours.createAnswer();
    const selector = /a=file-selector:.*/;
    await mine.setRemoteDescription({ type: "answer", sdp: answer.sdp.replace(selector, () => selector.exec(sdp)[0]) });
    equal((await rejection(file.verified)).kind, "mismatch");
    // In a worker files of the origin's own are written in place.
    equal(await (await handle.getFile()).text(), usual.worker ? "" : "as it was");
    await client.close();
  },

  async "the rest of one that is begun, and none with a gap"({ connect, equal, check, pattern, rejection, same }, handle) {
    const client = await connect();
    const octets = pattern(12_000_000);
    const offered = async (offset) => {
      const writing = await handle.createWritable();
      await writing.write(octets.subarray(0, 1_000_000));
      await writing.close();
      const [mine, yours] = [client.createSession(), client.createSession()];
      let file;
      yours.addEventListener("fileoffer", ({ offer }) => (file = offer.accept(handle)));
      const transfer = mine.sendFile(new Blob([octets]), { offer: true, offset });
      await yours.setRemoteDescription(await mine.createOffer());
      await mine.setRemoteDescription(await yours.createAnswer());
      return { file, transfer };
    };
    const { file } = await offered(999_990);
    await file.verified;
    equal([file.received, file.size], [octets.length, octets.length]);
    check(same(await (await handle.getFile()).arrayBuffer(), octets), "the octets");
    const late = await offered(1_000_001);
    const { kind, message } = await rejection(late.file.verified);
    equal(kind, "failed");
    check(message.includes("behind the 1000000 octets"), message);
    equal((await rejection(late.transfer.verified)).code, 413);
    equal(late.file.state, "failed");
    late.file.abort();
    await client.close();
  },

  async "who pauses leaves the way to others"({ connect, pair, next, equal, check, pattern, same }) {
    const client = await connect();
    const [[alice, bob], [carol, dave]] = [await pair(client), await pair(client)];
    dave.addEventListener("message", ({ message }) => message.arrayBuffer());
    const octets = pattern(24 << 20);
    const arriving = next(bob, "message");
    const transfer = alice.sendFile(new Blob([octets]));
    const file = (await arriving).message.save();
    transfer.pause();
    // The two would have equal shares.
    for (let count = 0; count < 6; count++) await carol.send(pattern(4 << 20)).delivered;
    check(transfer.state === "sending" && transfer.acknowledged < 12 << 20, `${transfer.acknowledged} of what is paused was sent`);
    transfer.resume();
    await transfer.delivered;
    await file.verified;
    check(same(await file.blob.arrayBuffer(), octets), "the octets");
    equal(file.size, octets.length);
    await client.close();
  },

  async "offered, to a stream, read by somebody else"({ connect, equal, check, pattern, octetsOf, same }) {
    const client = await connect();
    const [mine, yours] = [client.createSession(), client.createSession()];
    const { readable, writable } = new TransformStream();
    let file;
    yours.addEventListener("fileoffer", ({ offer }) => (file = offer.accept(writable)));
    const octets = pattern(3_000_000);
    const transfer = mine.sendFile(new File([octets], "a.bin"), { offer: true });
    await yours.setRemoteDescription(await mine.createOffer());
    const reading = octetsOf(readable);
    await mine.setRemoteDescription(await yours.createAnswer());
    check(same(await reading, octets), "the octets");
    await Promise.all([file.verified, transfer.verified]);
    equal(file.name, "a.bin");
    await client.close();
  },
};

/** A method of cases as a script for the page. */
const inside = (host, run) => `(async () => {
  const folder = await navigator.storage.getDirectory();
  await ({ ${run.toString().replace(/^async ("[^"]*"|\w+)/, "async run")} }).run(await import("/${host}/in-page.js"), await folder.getFileHandle("a file", { create: true }));
})()`;

/** A server, and pages at it. */
async function begin(t, start) {
  const inPage = await readFile(new URL("in-page.js", import.meta.url));
  const site = await startSite(t, (variant, file) => ({
    body: file === "in-page.js" ? inPage : undefined,
    headers: { "Content-Security-Policy": policies(variant, file) },
  }));
  const server = await startDev(t, `--origin=${site.origin}`);
  const browser = await start(t);
  const open = async (t, host, name = "alice") => {
    const { username, password } = await (await fetch(new URL(`credentials?name=${name}`, server.url))).json();
    const settings = new URLSearchParams({ relay: `${server.url.replace("http", "ws")}msrp`, username, password, worker: String(host === "worker") });
    const page = await openPage(t, browser, `${site.origin}/${host}/?${settings}`);
    await page.evaluate(async (host) => (window.api = await import(`/${host}/in-page.js`)), host);
    return page;
  };
  return { server, site, open };
}

for (const [browserName, start] of Object.entries(browsers)) {
  test(`files in ${browserName}`, async (t) => {
    const { open } = await begin(t, start);
    for (const [host, where] of [["worker", "in a worker"], ["page", "on the page's thread"]]) {
      await t.test(where, async (t) => {
        const page = await open(t, host);
        for (const [name, run] of Object.entries(cases)) {
          await t.test(name, { timeout: guard }, () => page.evaluate(inside(host, run)));
        }
      });
    }

    await t.test("a file goes on where the network was cut", { timeout: patience }, async (t) => {
      const [alice, bob] = [await open(t, "worker"), await open(t, "worker", "bob")];
      const size = await makeFile(alice);
      await prepare(bob);
      let resent = 0;
      for (let cut = 1; cut <= cuts + 1; cut++) {
        const { offset, received } = await agree(alice, bob);
        if (cut > 1) assert.ok(offset <= received, `${offset} of ${received} octets are taken for known`);
        resent += received - offset;
        if (cut > cuts) break;
        // Each at a random moment, in its own part of the file.
        await bob.evaluate((octets) => window.passed(octets), Math.floor(((cut - Math.random()) / (cuts + 1)) * size));
        await alice.evaluate(() => window.client.close());
        const state = await bob.evaluate(async () => {
          await window.session.close(); // as signalling tells
          await window.taken.verified.catch(() => {});
          return window.taken.state;
        });
        assert.equal(state, "failed");
      }
      await finish(alice, bob);
      assert.ok(resent < cuts * (4 << 20), `${resent} octets were sent twice`);
      t.diagnostic(`${size} octets, ${cuts} cuts, ${resent} octets sent twice`);
    });

    await t.test("a file goes on in another page, where it is on disk", { timeout: patience }, async (t) => {
      const [alice, bob] = [await open(t, "worker"), await open(t, "worker", "bob")];
      const size = await makeFile(alice);
      await prepare(bob);
      await agree(alice, bob);
      await bob.evaluate((octets) => window.passed(octets), size / 2);
      await bob.reload();
      await alice.evaluate(() => window.client.close());
      await prepare(bob);
      const there = await bob.evaluate(async () => (await window.handle.getFile()).size);
      assert.ok(there > size / 4 && there < size, `${there} octets are there`);
      const { offset } = await agree(alice, bob, there);
      assert.equal(offset, there);
      await finish(alice, bob);
    });
  });
}

/** Makes a large file in a page, whose parts are not alike, and returns its size. */
function makeFile(page) {
  return page.evaluate((mebibytes) => {
    const noise = crypto.getRandomValues(new Uint8Array(65_536));
    const piece = new Blob(Array(16).fill(noise));
    const parts = Array.from({ length: mebibytes }, (_, number) => [new Uint8Array(new Uint32Array([number]).buffer), piece]).flat();
    window.file = new File(parts, "large.bin");
    return window.file.size;
  }, mebibytes);
}

/** Has a page ready to receive to a file of its origin. */
function prepare(page) {
  return page.evaluate(async () => {
    window.api = await import("/worker/in-page.js");
    const folder = await navigator.storage.getDirectory();
    window.handle = await folder.getFileHandle("large.bin", { create: true });
    window.client = await window.api.connect();
    window.passed = (octets) =>
      new Promise((resolve) => {
        const look = () => window.taken.received >= octets && resolve();
        window.taken.addEventListener("progress", look);
        look();
      });
  });
}

/** Has alice offer her file, or what bob has not of it, and bob take that. */
async function agree(alice, bob, known) {
  const offer = await alice.evaluate(async (known) => {
    window.client = await window.api.connect();
    window.session = window.client.createSession();
    window.transfer = window.session.sendFile(window.file, { offer: true, resume: window.transfer, offset: known });
    window.transfer.verified.catch(() => {});
    return window.session.createOffer();
  }, known);
  const { answer, ...agreed } = await bob.evaluate(async (offer) => {
    const received = window.taken?.received ?? 0;
    window.session = window.client.createSession();
    let offset;
    window.session.addEventListener("fileoffer", ({ offer }) => {
      offset = offer.offset;
      window.taken = offer.accept(window.taken ?? window.handle);
    });
    await window.session.setRemoteDescription(offer);
    return { answer: await window.session.createAnswer(), offset, received };
  }, offer);
  await alice.evaluate((answer) => window.session.setRemoteDescription(answer), answer);
  return agreed;
}

/** Waits for the file, which was checked by its hash, and counts it. */
async function finish(alice, bob) {
  await alice.evaluate(() => window.transfer.verified);
  const [size, state, written] = await bob.evaluate(async () => {
    await window.taken.verified;
    return [window.taken.size, window.taken.state, (await window.handle.getFile()).size];
  });
  assert.deepEqual([state, written], ["received", size]);
  for (const page of [alice, bob]) await page.evaluate(() => window.client.close());
}

test("a file for which there is no room", async (t) => {
  const { site, open } = await begin(t, startBrowser);
  for (const host of ["worker", "page"]) {
    const page = await open(t, host);
    const devtools = await page.createCDPSession();
    await devtools.send("Storage.overrideQuotaForOrigin", { origin: site.origin, quotaSize: 4 << 20 });
    const error = await page.evaluate(async () => {
      const { connect, pair, next, pattern, rejection } = window.api;
      const folder = await navigator.storage.getDirectory();
      const handle = await folder.getFileHandle("large.bin", { create: true });
      const client = await connect();
      const [alice, bob] = await pair(client);
      const arriving = next(bob, "message");
      const transfer = alice.send(pattern(12 << 20));
      const file = (await arriving).message.save(handle);
      const error = await rejection(file.verified);
      const { code } = await rejection(transfer.delivered);
      await alice.send("still there").delivered;
      await client.close();
      return { kind: error.kind, message: error.message, state: file.state, code };
    });
    assert.deepEqual(error, { kind: "storage", message: "There is no room for the file. Free some space, or choose another place.", state: "failed", code: 413 });
  }
});

test("files from and to an ordinary peer", async (t) => {
  const { server, open } = await begin(t, startBrowser);
  const octets = Buffer.from(Array.from({ length: 3_000_001 }, (_, at) => (at * 31) >> 3));
  const dir = await directory(t);
  await writeFile(path.join(dir, "zurück.bin"), octets);
  const received = await directory(t);
  const bob = startPeer(t, "--listen=127.0.0.1:0", "--name=bob", `--rendezvous=${server.rendezvous}`, `--receive=${received}`);
  await bob.event("registered");
  const page = await open(t, "worker");
  await page.evaluate(async (rendezvous) => {
    const { Rendezvous } = await import("/worker/signalling/rendezvous.js");
    window.rendezvous = await Rendezvous.connect(rendezvous, { name: "alice" });
    window.client = await window.api.connect();
    window.call = async (session) => {
      const { call, answer } = await window.rendezvous.call("bob", (await session.createOffer()).sdp);
      await session.setRemoteDescription({ type: "answer", sdp: answer });
      return call;
    };
  }, server.rendezvous);

  await t.test("one that it sends is saved", { timeout: guard }, async () => {
    const saved = page.evaluate(async () => {
      const session = window.client.createSession();
      const arriving = window.api.next(session, "message");
      window.conversation = await window.call(session);
      const file = (await arriving).message.save();
      await file.verified;
      const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.blob.arrayBuffer()));
      return [file.name, Array.from(sum, (octet) => octet.toString(16).padStart(2, "0")).join("")];
    });
    await bob.event("connected");
    bob.write(`/file ${path.join(dir, "zurück.bin")}`);
    assert.deepEqual(await saved, ["zurück.bin", sha256(octets)]);
    await page.evaluate(() => window.conversation.bye());
  });

  await t.test("one that is offered to it arrives, though it knows no offers", { timeout: guard }, async () => {
    const state = await page.evaluate(async (base64) => {
      const session = window.client.createSession();
      const octets = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      const transfer = session.sendFile(new File([octets], "to bob.bin"), { offer: true });
      await window.call(session);
      await transfer.verified;
      return transfer.state;
    }, octets.toString("base64"));
    assert.equal(state, "delivered");
    const { file, sha256: sum } = await bob.event("message");
    assert.equal(path.basename(file), "to bob.bin");
    assert.equal(sum, sha256(octets));
  });
});
