// A person at the page and ordinary MSRP endpoints over TCP.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { directory, Person, picture, sha256, startBrowser, startDev, startPeer, talk } from "./rig.mjs";

for (const [way, ...listen] of [["the proxy dials", "--listen=127.0.0.1:0"], ["the peer dials"]]) {
  test(`page and TCP peer, ${way}`, async (t) => {
    const server = await startDev(t);
    const received = await directory(t);
    const bob = startPeer(t, ...listen, "--name=bob", `--rendezvous=${server.rendezvous}`, `--receive=${received}`);
    await bob.event("registered");
    const browser = await startBrowser(t);
    const alice = await Person.open(t, browser, server.url);
    await alice.join("alice");
    await alice.call("bob");
    await alice.status("talking");
    await talk(t, alice, bob, await picture(browser, 1300, 1300));
  });
}

test("a TCP peer calls the page", async (t) => {
  const server = await startDev(t);
  const browser = await startBrowser(t);
  const alice = await Person.open(t, browser, server.url);
  await alice.join("alice");
  await alice.status("ready");
  const received = await directory(t);
  const bob = startPeer(t, "--listen=127.0.0.1:0", "--name=bob", "--call=alice", `--rendezvous=${server.rendezvous}`, `--receive=${received}`);
  await alice.status("talking");
  await talk(t, alice, bob, await picture(browser, 100, 100));
});

test("a page without direct mode and a TCP peer", async (t) => {
  const server = await startDev(t);
  const bob = startPeer(t, "--listen=127.0.0.1:0", "--name=bob", `--rendezvous=${server.rendezvous}`);
  await bob.event("registered");
  const browser = await startBrowser(t);
  const { page } = await Person.open(t, browser, server.url);
  const heard = page.evaluate(async () => {
    const { MsrpClient } = await import("/webmsrp.js");
    const { Rendezvous } = await import("/signalling/rendezvous.js");
    const credentials = async () => (await fetch("/credentials?name=alice")).json();
    const client = await MsrpClient.connect("/msrp", { credentials });
    const session = client.createSession({ direct: false });
    const offer = await session.createOffer();
    const rendezvous = await Rendezvous.connect(new URL("/rendezvous", location.href), { name: "alice" });
    const { answer } = await rendezvous.call("bob", offer.sdp);
    await session.setRemoteDescription({ type: "answer", sdp: answer });
    const reply = new Promise((resolve) => session.addEventListener("message", (event) => resolve(event.message), { once: true }));
    await session.send("through the relay").delivered;
    const message = await reply;
    const text = await message.text();
    await client.close();
    return { text, path: offer.sdp.match(/a=path:(.*)/)[1] };
  });
  await bob.event("connected");
  assert.equal((await bob.event("message")).text, "through the relay");
  bob.write("and back");
  const { text, path } = await heard;
  assert.equal(text, "and back");
  assert.match(path, /^msrp:\S+;tcp msrp:\S+\.invalid\S*;ws\s*$/);
});

test("what goes wrong with a peer is said", async (t) => {
  const server = await startDev(t);
  const browser = await startBrowser(t);
  const alice = await Person.open(t, browser, server.url);
  await alice.join("alice");
  await alice.status("ready");
  const called = async (t) => {
    const bob = startPeer(t, "--listen=127.0.0.1:0", "--name=bob", `--rendezvous=${server.rendezvous}`);
    await bob.event("registered");
    await alice.call("bob");
    await alice.status("talking");
    return bob;
  };

  // Whoever is gone may come back, for some time.
  const isGivenUp = async () => {
    await alice.says(/Reconnecting/);
    await alice.hangUp();
    await alice.status("ready");
    await alice.last("failed");
  };

  await t.test("killed between two messages", async (t) => {
    const bob = await called(t);
    await alice.say("are you there?");
    await alice.last("delivered");
    bob.kill();
    await alice.say("and now?");
    await isGivenUp();
  });

  await t.test("killed while a file goes to it", async (t) => {
    const bob = await called(t);
    // It reads no more, and so the file stays under way.
    await bob.freeze();
    const file = path.join(await directory(t), "large.bin");
    await writeFile(file, Buffer.alloc(8 << 20, "large "));
    await alice.attach(file);
    await alice.page.waitForSelector("msrp-chat >>> .entry.out.sending progress");
    bob.kill();
    await isGivenUp();
  });

  // The connection stands, but nobody answers: the 30 s of RFC 4975, section
  // 10.4, run out at the relay, which tells the page.
  await t.test("frozen", async (t) => {
    const bob = await called(t);
    await alice.say("are you there?");
    await alice.last("delivered");
    await bob.freeze();
    await alice.say("and now?");
    await isGivenUp();
  });
});

test("a proxy that goes is said, and a conversation goes on when it is back", async (t) => {
  const server = await startDev(t);
  const browser = await startBrowser(t);
  const expected = /WebSocket connection to|ERR_CONNECTION_REFUSED|ERR_SOCKET_NOT_CONNECTED|worker|503/;
  const open = () => Person.open(t, browser, server.url, { expected });
  const [alice, bob, carol] = [await open(), await open(), await open()];
  await alice.join("alice");
  await bob.join("bob");
  await bob.status("ready");
  await alice.call("bob");
  await alice.status("talking");
  await alice.say("before");
  await alice.last("delivered");
  server.kill();
  await server.ended;
  await alice.says(/Reconnecting/);
  await alice.say("meanwhile");
  // Who has not joined yet is told, and tries again.
  await carol.join("carol");
  await carol.status("offline");
  await startDev(t, `--listen=${new URL(server.url).host}`);
  await carol.page.locator("msrp-chat >>> .problem button").click();
  await carol.status("ready");
  await bob.hear("meanwhile");
  await alice.last("delivered");
  await alice.says(/Connected/);
});
