// The page in WebKitGTK, and octets there and back. The API has its tests there
// with those of the other browsers, in api.test.mjs.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { directory, guard, languages, noWorkers, Person, sha256, startDev, startPeer } from "./rig.mjs";
import { skip, startWebKit } from "./webkit.mjs";

test("the page in WebKitGTK", { skip, timeout: 4 * guard }, async (t) => {
  const server = await startDev(t);
  const browser = await startWebKit(t);
  const alice = await Person.open(t, browser, server.url);
  await alice.join("alice");
  const hangUp = async () => {
    await alice.page.locator("msrp-chat >>> header button").click();
    await alice.status("ready");
  };

  await t.test("the echo", { timeout: 2 * guard }, async () => {
    await alice.call("echo");
    await alice.status("talking");
    for (const text of languages) {
      await alice.say(text);
      await alice.hear(text);
      await alice.last("delivered");
    }
    await hangUp();
  });

  await t.test("another browser, both ways", { timeout: 2 * guard }, async (t) => {
    const bob = await Person.open(t, browser, server.url);
    await bob.join("bob");
    await bob.status("ready");
    await alice.call("bob");
    for (const person of [alice, bob]) await person.status("talking");
    for (const [from, to] of [[alice, bob], [bob, alice]]) {
      await from.say("Grüße 👋");
      await to.hear("Grüße 👋");
      await from.last("delivered");
    }
    await hangUp();
    await bob.says(/alice ended the conversation/);
  });

  await t.test("a megabyte to a native peer", { timeout: guard }, async (t) => {
    const peer = startPeer(t, "--listen=127.0.0.1:0", "--name=carol", `--rendezvous=${server.rendezvous}`, `--receive=${await directory(t)}`);
    await peer.event("registered");
    await alice.call("carol");
    await alice.status("talking");
    const octets = randomBytes(1 << 20);
    await alice.drop("noise.bin", "application/octet-stream", octets);
    assert.equal((await peer.event("message")).sha256, sha256(octets));
    await alice.last("delivered");
    await hangUp();
  });

  await t.test("a megabyte to the echo and back, through the API", { timeout: guard }, async () => {
    const [sent, received] = await alice.page.evaluate(async () => {
      const [{ MsrpClient }, { Rendezvous }] = await Promise.all([import("/webmsrp.js"), import("/signalling/rendezvous.js")]);
      const credentials = await (await fetch("/credentials?name=dave")).json();
      const client = await MsrpClient.connect("/msrp", { ...credentials, worker: true });
      const rendezvous = await Rendezvous.connect("/rendezvous", { name: "dave", ...credentials });
      const session = client.createSession();
      const arriving = new Promise((resolve) => session.addEventListener("message", resolve, { once: true }));
      const { answer } = await rendezvous.call("echo", (await session.createOffer()).sdp);
      await session.setRemoteDescription({ type: "answer", sdp: answer });
      const octets = new Uint8Array(1 << 20);
      for (let at = 0; at < octets.length; at += 65_536) crypto.getRandomValues(octets.subarray(at, at + 65_536));
      const hash = async (data) => Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", data)));
      const sent = await hash(octets);
      const sending = session.send(octets);
      const received = await hash(await (await arriving).message.arrayBuffer());
      await sending.delivered;
      rendezvous.close();
      await client.close();
      return [sent, received, await client.closed];
    });
    assert.deepEqual(received, sent);
  });

  await t.test("nothing is left of it", { timeout: guard }, async () => {
    await alice.page.evaluate(() => document.querySelector("msrp-chat").remove());
    await noWorkers(alice.page);
  });
});
