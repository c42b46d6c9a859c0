// The proxy as in production: TLS everywhere, users with passwords.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { directory, openPage, Person, picture, startBrowser, startDev, startPeer, startSecure, talk } from "./rig.mjs";

/** Starts the proxy and a browser that trusts its certificate. */
async function start(t, ...args) {
  const server = await startSecure(t, ["alice", "bob", "carol"], ...args);
  const browser = await startBrowser(t, `--ignore-certificate-errors-spki-list=${server.spki}`);
  return { server, browser };
}

async function peerOf(t, server, ...args) {
  const received = await directory(t);
  const bob = startPeer(t, ...args, "--tls", `--ca=${server.cert}`, "--name=bob", "--user=bob", "--password=secret", `--rendezvous=${server.rendezvous}`, `--receive=${received}`);
  await bob.event("registered");
  return bob;
}

// Over TLS with a certificate that only its fingerprint in SDP vouches for (RFC
// 8122), and the other way round with the proxy's.
for (const [way, ...listen] of [["the proxy dials", "--listen=127.0.0.1:0"], ["the peer dials"]]) {
  test(`page and TLS peer, ${way}`, async (t) => {
    const { server, browser } = await start(t);
    const bob = await peerOf(t, server, ...listen);
    const alice = await Person.open(t, browser, server.url);
    await alice.join("alice", "secret");
    await alice.call("bob");
    await alice.status("talking");
    await talk(t, alice, bob, await picture(browser, 1300, 1300));
  });
}

test("a TLS peer calls the page", async (t) => {
  const { server, browser } = await start(t);
  const alice = await Person.open(t, browser, server.url);
  await alice.join("alice", "secret");
  await alice.status("ready");
  const bob = await peerOf(t, server, "--listen=127.0.0.1:0", "--call=alice");
  await alice.status("talking");
  await talk(t, alice, bob, await picture(browser, 100, 100));
});

test("page and page", async (t) => {
  const { server, browser } = await start(t);
  const alice = await Person.open(t, browser, server.url);
  const carol = await Person.open(t, browser, server.url);
  await carol.join("carol", "secret");
  await carol.status("ready");
  await alice.join("alice", "secret");
  await alice.call("carol");
  await alice.status("talking");
  await alice.say("over TLS");
  await carol.hear("over TLS");
  await alice.last("delivered");
});

test("a wrong password is said, and the right one gets in", async (t) => {
  const { server, browser } = await start(t);
  const alice = await Person.open(t, browser, server.url);
  await alice.join("alice", "wrong");
  await alice.says(/password/i);
  await alice.status("offline");
  await alice.page.locator("#leave").click();
  await alice.join("alice", "secret");
  await alice.status("ready");
});

test("somebody else's name is not to be had", async (t) => {
  const { server, browser } = await start(t);
  const { page } = await Person.open(t, browser, server.url);
  await page.locator("#join [name=name]").fill("bob");
  await page.locator("#join [name=username]").fill("alice");
  await page.locator("#join [name=password]").fill("secret");
  await page.locator("#join button").click();
  await new Person(page).says(/bob is not your name/);
});

test("the relay refuses a wrong password", async (t) => {
  const { server, browser } = await start(t);
  const { page } = await Person.open(t, browser, server.url);
  const error = await page.evaluate(async () => {
    const { MsrpClient } = await import("/webmsrp.js");
    return MsrpClient.connect("/msrp", { username: "alice", password: "wrong" }).catch(({ name, code, message }) => ({ name, code, message }));
  });
  assert.equal(error.name, "MsrpError");
  assert.equal(error.code, 401);
  assert.match(error.message, /password/i);
});

test("the widget in a page elsewhere", async (t) => {
  const elsewhere = createServer((request, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end(request.url === "/" ? page : "");
  }).listen(0, "127.0.0.1");
  await once(elsewhere, "listening");
  t.after(() => elsewhere.close());
  const origin = `http://127.0.0.1:${elsewhere.address().port}`;
  const { server, browser } = await start(t, `--origin=${origin}`);
  const page = `<!doctype html><title>elsewhere</title><link rel="icon" href="data:,">
    <script type="module" src="${server.url}widget.js"></script>
    <msrp-chat url="${server.url}msrp" name="alice" username="alice" password="secret" peer="carol"></msrp-chat>`;
  const carol = await Person.open(t, browser, server.url);
  await carol.join("carol", "secret");
  await carol.status("ready");
  const alice = new Person(await openPage(t, browser, `${origin}/`));
  await carol.status("talking");
  await alice.page.waitForFunction(() => document.querySelector("msrp-chat").status === "talking");
  await alice.say("from elsewhere");
  await carol.hear("from elsewhere");
  await carol.say("welcome");
  await alice.hear("welcome");

  // Pages of an origin that was not named do not get in, whether the proxy keeps
  // them out or a policy of their own keeps them in.
  const lenient = await startDev(t);
  const strict = await startSecure(t, ["alice"]);
  const other = await startBrowser(t, `--ignore-certificate-errors-spki-list=${server.spki},${strict.spki}`);
  for (const { url } of [lenient, strict]) {
    const stranger = await openPage(t, other, url, { expected: /WebSocket connection to|Content Security Policy/ });
    const refused = await stranger.evaluate(async (url) => {
      const { MsrpClient } = await import("/webmsrp.js");
      return MsrpClient.connect(url, { username: "alice", password: "secret" }).then(
        () => "connected",
        (error) => error.message,
      );
    }, `${server.url}msrp`);
    assert.match(refused, /No MSRP over WebSocket at wss:.* does it let pages of this origin in/);
  }
});
