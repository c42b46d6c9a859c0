// Kamailio as the relay in place of ours: the browser authenticates to it over
// a WebSocket and exchanges messages with an endpoint over TCP.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { answerOf, hasKamailio, startKamailio } from "./kamailio.mjs";
import { directory, openPage, sha256, startBrowser, startDev, startPeer } from "./rig.mjs";

const skip = hasKamailio ? false : "NOT TESTED: there is no Kamailio here";

test("the browser behind Kamailio and a TCP peer", { skip }, async (t) => {
  const { kamailio, port } = await startKamailio(t);
  const received = await directory(t);
  const bob = startPeer(t, "--listen=127.0.0.1:0", "--session-id=bob", `--receive=${received}`);
  const { uri } = await bob.event("listening");
  // The page itself comes from our server in its development setting, whose
  // policy lets it connect to other relays.
  const server = await startDev(t);
  const browser = await startBrowser(t);
  const page = await openPage(t, browser, server.url);
  const file = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * 7919) >> 3));

  await page.evaluate(
    async (url, answer) => {
      const { MsrpClient } = await import("/webmsrp.js");
      const client = await MsrpClient.connect(url, { username: "alice", password: "secret" });
      const session = client.createSession();
      const offer = await session.createOffer();
      await session.setRemoteDescription(answer); // there is no signalling
      const messages = [];
      session.addEventListener("message", ({ message }) => messages.push(message));
      Object.assign(window, { client, session, messages, path: offer.sdp.match(/a=path:(.*)/)[1] });
    },
    `ws://127.0.0.1:${port}/msrp`,
    answerOf(uri),
  ).catch((error) => assert.fail(`${error.message}\nKamailio says:\n${kamailio.output}`));
  assert.match(await page.evaluate(() => window.path), new RegExp(`^msrp://127\\.0\\.0\\.1:${port}/\\S+;tcp msrp:\\S+;ws`));

  await page.evaluate(async () => window.session.send("Grüße über Kamailio 👋").delivered);
  await bob.event("connected");
  assert.equal((await bob.event("message")).text, "Grüße über Kamailio 👋");

  await page.evaluate(
    async (base64) => {
      const octets = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      await window.session.sendFile(new File([octets], "data.bin")).delivered;
    },
    file.toString("base64"),
  );
  const saved = await bob.event("message");
  assert.equal(path.basename(saved.file), "data.bin");
  assert.equal(saved.sha256, sha256(file));

  bob.write("und zurück");
  await bob.event("delivered");
  const back = path.join(await directory(t), "back.bin");
  await writeFile(back, file);
  bob.write(`/file ${back}`);
  const got = await page.evaluate(async () => {
    while (window.messages.length < 2) {
      await new Promise((resolve) => window.session.addEventListener("message", resolve, { once: true }));
    }
    const [text, file] = window.messages;
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
    return { text: await text.text(), name: file.fileName, sum: [...digest].map((octet) => octet.toString(16).padStart(2, "0")).join("") };
  });
  assert.deepEqual(got, { text: "und zurück", name: "back.bin", sum: sha256(file) });
  await bob.event("delivered");
  await page.evaluate(() => window.client.close());
});

test("Kamailio refuses a wrong password", { skip }, async (t) => {
  const { port, kamailio } = await startKamailio(t);
  const server = await startDev(t);
  const page = await openPage(t, await startBrowser(t), server.url, { expected: /WebSocket connection to/ });
  const code = await page.evaluate(async (url) => {
    const { MsrpClient } = await import("/webmsrp.js");
    return MsrpClient.connect(url, { username: "alice", password: "wrong" }).catch(({ code }) => code);
  }, `ws://127.0.0.1:${port}/msrp`).catch((error) => assert.fail(`${error.message}\n${kamailio.output}`));
  assert.equal(code, 401);
});
