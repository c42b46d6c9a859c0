// Files that are received to where they shall be, in both browsers, with the
// core in a worker and on the page's thread; those that are offered by SDP (RFC
// 5547), and go on after the network was cut. With SOAK=1 it is 1 GiB and 20 cuts,
// SOAK_SIZE, in MiB, is read as a stream, and no task of a page takes 50 ms where
// the machine has little else to do.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { availableParallelism, loadavg } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { browsers, directory, guard, memory, openPage, policies, random, sha256, startBrowser, startDev, startPeer, startSite, startWire } from "./rig.mjs";

const mebibyte = 1 << 20;
const [size, cuts, streamed, patience] = process.env.SOAK ? [1024, 20, Number(process.env.SOAK_SIZE ?? 1024), 100 * guard] : [64, 5, 64, 4 * guard];

/** By how much a page's process may grow. */
const maxGrowth = 64 * mebibyte;

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
  const open = async (t, host, { name = "alice", url = server.url } = {}) => {
    const { username, password } = await (await fetch(new URL(`credentials?name=${name}`, server.url))).json();
    const settings = new URLSearchParams({ relay: `${url.replace("http", "ws")}msrp`, username, password, worker: String(host === "worker") });
    // Firefox tells on the console where a way was cut.
    const expected = url === server.url ? undefined : /^Error: The connection to ws:.* was interrupted/;
    const page = await openPage(t, browser, `${site.origin}/${host}/?${settings}`, { expected });
    await page.evaluate(async (host) => (window.api = await import(`/${host}/in-page.js`)), host);
    return page;
  };
  return { server, site, open };
}

for (const [browserName, start] of Object.entries(browsers)) {
  test(`files in ${browserName}`, async (t) => {
    const { server, open } = await begin(t, start);
    for (const [host, where] of [["worker", "in a worker"], ["page", "on the page's thread"]]) {
      await t.test(where, async (t) => {
        const page = await open(t, host);
        for (const [name, run] of Object.entries(cases)) {
          await t.test(name, { timeout: guard }, () => page.evaluate(inside(host, run)));
        }
      });
    }

    await t.test("a file goes on where the network was cut", { timeout: patience }, async (t) => {
      const wires = [await startWire(t, server.url), await startWire(t, server.url)];
      const [alice, bob] = [await open(t, "worker", wires[0]), await open(t, "worker", { name: "bob", ...wires[1] })];
      await prepare(alice);
      await prepare(bob, "file");
      await makeFile(alice, size);
      const seed = Number(process.env.SEED ?? crypto.getRandomValues(new Uint16Array(1))[0] + 1);
      const chance = random(seed);
      t.diagnostic(`SEED=${seed}`);
      const calm = await watch(t, alice, bob);
      let [resent, known] = [0, undefined];
      for (let cut = 1; cut <= cuts; cut++) {
        const asks = cut > 1 && known === undefined && chance() < 0.5;
        const { offset, received } = asks ? await ask(alice, bob) : await agree(alice, bob, known);
        if (asks) assert.equal(offset, received);
        else assert.ok(offset <= received, `${offset} of ${received} octets are taken for known`);
        resent += received - offset;
        // Each at a random moment, in its own part of the file, of whom it may be.
        await bob.evaluate((octets) => window.passed(octets), Math.floor(((cut - chance()) / (cuts + 1)) * size * mebibyte));
        const whose = chance() < 0.5 ? 0 : 1;
        wires[whose].cut();
        await alice.evaluate(() => window.client.close());
        known = await bob.evaluate(async (cut) => {
          await window.session.close(); // as signalling tells
          await window.taken.verified.catch(() => {});
          if (window.taken.state !== "failed") throw new Error(`the file was ${window.taken.state}`);
          if (!cut) return undefined;
          // The client is gone, and what it had stands in the file.
          await window.client.close();
          window.client = await window.api.connect();
          window.taken = undefined;
          return (await window.place.getFile()).size;
        }, whose === 1);
      }
      await agree(alice, bob, known);
      await finish(alice, bob);
      await calm();
      const [sent, got] = [await digest(alice, "file"), await digest(bob, "place")];
      assert.equal(got, sent);
      assert.ok(resent < cuts * (6 << 20), `${resent} octets were sent twice`);
      t.diagnostic(`${size} MiB, ${cuts} cuts, ${resent} octets sent twice`);
    });

    await t.test("a file goes on where the way was full", { timeout: patience }, async (t) => {
      const wire = await startWire(t, server.url);
      const [alice, bob] = [await open(t, "worker"), await open(t, "worker", { name: "bob", ...wire })];
      await prepare(alice);
      await prepare(bob, "stream");
      await makeFile(alice, 24);
      // What has come stays while some client is open.
      await bob.evaluate(async (relay) => (window.other = await window.api.MsrpClient.connect(relay, window.api.usual)), `${server.url.replace("http", "ws")}msrp`);
      await agree(alice, bob);
      await bob.evaluate((octets) => window.passed(octets), 8 * mebibyte);
      wire.hold();
      // More than that is acknowledged, because the relay has it on its way.
      for (let ahead = 0; ahead <= 2 * mebibyte; ) ahead = (await alice.evaluate(() => window.transfer.acknowledged)) - (await bob.evaluate(() => window.taken.received));
      wire.cut();
      const received = await bob.evaluate(async () => {
        await window.session.close();
        await window.taken.verified.catch(() => {});
        await window.client.close();
        window.client = await window.api.connect();
        return window.taken.received;
      });
      const acknowledged = await alice.evaluate(async () => {
        await window.client.close();
        return window.transfer.acknowledged;
      });
      t.diagnostic(`${acknowledged - received} octets were acknowledged that did not arrive`);
      const { offset } = await agree(alice, bob);
      assert.ok(offset <= received, `${offset} of ${received} octets are taken for known`);
      await finish(alice, bob);
    });

    await t.test("a file is read as it comes", { timeout: patience }, async (t) => {
      const [alice, bob] = [await open(t, "worker"), await open(t, "worker", { name: "bob" })];
      await prepare(alice);
      await prepare(bob, "stream");
      await makeFile(alice, streamed);
      const calm = await watch(t, alice, bob);
      await agree(alice, bob);
      await finish(alice, bob);
      await calm();
      assert.equal(await bob.evaluate(() => window.read), await alice.evaluate(() => window.file.size));
    });

    await t.test("a file goes on in another page, where it is on disk", { timeout: patience }, async (t) => {
      const [alice, bob] = [await open(t, "worker"), await open(t, "worker", { name: "bob" })];
      await prepare(alice);
      await prepare(bob, "file");
      const octets = await makeFile(alice, size);
      const { hashes } = await agree(alice, bob);
      await bob.evaluate((octets) => window.passed(octets), octets / 2);
      await bob.reload();
      await alice.evaluate(() => window.client.close());
      await prepare(bob, "file");
      const there = await bob.evaluate(async () => (await window.place.getFile()).size);
      assert.ok(there > octets / 4 && there < octets, `${there} octets are there`);
      const { offset } = await ask(alice, bob, { hashes, there });
      assert.equal(offset, there);
      await finish(alice, bob);
    });
  });
}

/** Makes a large file in a page, whose parts are not alike, and returns its size in octets. */
function makeFile(page, mebibytes) {
  return page.evaluate((mebibytes) => {
    const noise = crypto.getRandomValues(new Uint8Array(65_536));
    const piece = new Blob(Array(16).fill(noise));
    const parts = Array.from({ length: mebibytes }, (_, number) => [new Uint8Array(new Uint32Array([number]).buffer), piece]).flat();
    window.file = new File(parts, "large.bin");
    return window.file.size;
  }, mebibytes);
}

/** Connects a page, and has it ready to receive to a file of its origin or a stream. */
function prepare(page, place) {
  return page.evaluate(async (place) => {
    window.api = await import("/worker/in-page.js");
    window.client = await window.api.connect();
    window.read = 0;
    if (place === "stream") window.place = new WritableStream({ write: (piece) => void (window.read += piece.length) });
    if (place === "file") window.place = await (await navigator.storage.getDirectory()).getFileHandle("large.bin", { create: true });
    window.passed = (octets) =>
      new Promise((resolve, reject) => {
        const look = () => (window.taken.error ? reject(window.taken.error) : window.taken.received >= octets && resolve());
        window.taken.addEventListener("progress", look);
        look();
      });
  }, place);
}

/** Returns what finds, where Chromium tells, that pages have not grown meanwhile, nor been busy for long. */
async function watch(t, ...pages) {
  if (!pages[0].browser().process().spawnfile.includes("chrom")) return () => {};
  const before = await memory(...pages);
  for (const page of pages) {
    await page.evaluate(() => {
      window.longTasks = [];
      window.observer = new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map(({ duration }) => duration)));
      window.observer.observe({ type: "longtask" });
    });
  }
  return async () => {
    const tasks = [];
    for (const page of pages) {
      const durations = await page.evaluate(() => {
        const late = window.observer.takeRecords().map(({ duration }) => duration);
        window.observer.disconnect();
        return [...window.longTasks, ...late];
      });
      tasks.push(...durations);
    }
    // The duration of a task has in it what others took of the machine.
    const [load] = loadavg();
    const judged = process.env.SOAK && load < 3 * availableParallelism();
    t.diagnostic(`tasks of 50 ms or more: ${tasks.length ? tasks : "none"}, with a load of ${load}${judged ? "" : ", not judged"}`);
    const growth = Math.max(...[...(await memory(...pages))].map(([pid, octets]) => octets - (before.get(pid) ?? 0)));
    t.diagnostic(`a page has grown by ${(growth / mebibyte).toFixed(1)} MiB`);
    assert.ok(growth < maxGrowth, `a page has grown by ${growth} octets`);
    if (judged) assert.deepEqual(tasks, []);
  };
}

/** Has alice offer her file, or what bob has not of it, and bob take that. */
async function agree(alice, bob, known) {
  const offer = await alice.evaluate(async (known) => {
    if (window.client.connectionState === "closed") window.client = await window.api.connect();
    window.session = window.client.createSession();
    window.transfer = window.session.sendFile(window.file, { offer: true, resume: window.transfer, offset: known });
    window.transfer.verified.catch(() => {});
    return window.session.createOffer();
  }, known);
  const { answer, ...agreed } = await bob.evaluate(async (offer, known) => {
    const received = known ?? window.taken?.received ?? 0;
    window.session = window.client.createSession();
    let [offset, hashes, refused] = [];
    window.session.addEventListener("fileoffer", ({ offer }) => {
      ({ offset, hashes } = offer);
      try {
        window.taken = offer.accept(window.taken ?? window.place);
      } catch (error) {
        refused = error;
      }
    });
    await window.session.setRemoteDescription(offer);
    if (refused) throw refused;
    return { answer: await window.session.createAnswer(), offset, hashes, received };
  }, offer, known);
  await alice.evaluate((answer) => window.session.setRemoteDescription(answer), answer);
  return agreed;
}

/** Has bob ask for what he has not of the file, known by its hashes where the page is another, and alice send that. */
async function ask(alice, bob, known) {
  const { offer, received } = await bob.evaluate(async (known) => {
    window.session = window.client.createSession();
    if (known) window.taken = window.session.receiveFile({ hashes: known.hashes }, window.place, { offset: known.there });
    else window.session.receiveFile(window.taken);
    return { offer: await window.session.createOffer(), received: window.taken.received };
  }, known);
  const { answer, offset } = await alice.evaluate(async (offer) => {
    if (window.client.connectionState === "closed") window.client = await window.api.connect();
    window.session = window.client.createSession();
    window.session.addEventListener("filerequest", ({ request }) => {
      window.transfer = request.send(window.file, { resume: window.transfer });
      window.transfer.verified.catch(() => {});
    });
    await window.session.setRemoteDescription(offer);
    return { answer: await window.session.createAnswer(), offset: window.transfer.offset };
  }, offer);
  await bob.evaluate((answer) => window.session.setRemoteDescription(answer), answer);
  return { offset, received };
}

/** Waits for the file, which is checked by its hash. */
async function finish(alice, bob) {
  await alice.evaluate(() => window.transfer.verified);
  const state = await bob.evaluate(async () => {
    await window.taken.verified;
    return window.taken.state;
  });
  assert.equal(state, "received");
  for (const page of [alice, bob]) await page.evaluate(() => window.session.close());
}

/** A hash of a file in a page, by the browser itself: of the hashes of its parts. */
function digest(page, name) {
  return page.evaluate(async (name) => {
    const file = window[name] instanceof File ? window[name] : await window[name].getFile();
    const hash = async (blob) => crypto.subtle.digest("SHA-256", await blob.arrayBuffer());
    const parts = [];
    for (let at = 0; at < file.size; at += 8 << 20) parts.push(await hash(file.slice(at, at + (8 << 20))));
    return `${file.size} ${new Uint8Array(await hash(new Blob(parts))).join(" ")}`;
  }, name);
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
