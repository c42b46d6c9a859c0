// Two people, and a person and the echo, with the page and nothing else.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { directory, languages, Person, picture, sha256, startBrowser, startDev } from "./rig.mjs";

test("page and page", async (t) => {
  const server = await startDev(t);
  const browser = await startBrowser(t);
  const alice = await Person.open(t, browser, server.url);
  const bob = await Person.open(t, browser, server.url);
  await alice.join("alice");
  await bob.join("bob");
  await bob.status("ready");
  await alice.call("bob");
  await alice.status("talking");
  await bob.status("talking");

  await t.test("text in many languages, both ways", async () => {
    for (const text of languages) {
      await alice.say(text);
      await bob.hear(text);
      await alice.last("delivered");
      await bob.say(text);
      await alice.hear(text);
      await bob.last("delivered");
    }
  });

  const image = await picture(browser, 1300, 1300);
  assert.ok(image.length > 5_000_000);
  await t.test("a picture dropped, a picture picked", async (t) => {
    await alice.drop("noise.png", "image/png", image);
    let saved = await bob.save(t);
    assert.equal(saved.name, "noise.png");
    assert.equal(sha256(saved.data), sha256(image));
    await alice.last("delivered");
    const shown = await bob.page.waitForSelector("msrp-chat >>> .entry.in .bubble.image img");
    await bob.page.waitForFunction((img) => img.complete && img.naturalWidth === 1300, {}, shown);

    const file = path.join(await directory(t), "zurück.png");
    await writeFile(file, image);
    await bob.attach(file);
    saved = await alice.save(t);
    assert.equal(saved.name, "zurück.png");
    assert.equal(sha256(saved.data), sha256(image));
    await bob.last("delivered");
  });

  await t.test("the one ends, the other hears of it", async () => {
    await alice.page.locator("msrp-chat >>> header button").click();
    await bob.says(/alice ended the conversation/);
    await bob.status("ready");
    await alice.status("ready");
  });

  await t.test("and the other calls back", async () => {
    await bob.call("alice");
    await alice.status("talking");
    await bob.status("talking");
    await bob.say("again");
    await alice.hear("again");
  });

  await t.test("who talks is busy", async (t) => {
    const carol = await Person.open(t, browser, server.url);
    await carol.join("carol");
    await carol.call("bob");
    await carol.says(/bob is busy/);
    await carol.status("ready");
    await carol.call("nobody");
    await carol.says(/nobody is not here/);
    await alice.say("undisturbed");
    await bob.hear("undisturbed");
  });

  await t.test("who closes the page is gone", async () => {
    await alice.page.close();
    await bob.says(/alice.*left|alice.*gone|conversation ended/);
    await bob.status("ready");
  });
});

test("page and echo", async (t) => {
  const server = await startDev(t);
  const browser = await startBrowser(t);
  const alice = await Person.open(t, browser, server.url);
  await alice.join("alice");
  await alice.status("ready");
  await alice.page.locator("#echo").click();
  await alice.status("talking");
  await alice.say("Hello, echo! 🎉");
  await alice.hear("Hello, echo! 🎉");
  await alice.last("delivered");
  const image = await picture(browser, 200, 100);
  await alice.drop("small.png", "image/png", image);
  const saved = await alice.save(t);
  assert.equal(sha256(saved.data), sha256(image));
});

test("a name is taken over by the tab that opens it last", async (t) => {
  const server = await startDev(t);
  const browser = await startBrowser(t);
  const first = await Person.open(t, browser, server.url);
  await first.join("alice");
  await first.status("ready");
  const second = await Person.open(t, browser, server.url);
  await second.join("alice");
  await second.status("ready");
  await first.says(/alice was opened in another place/);
  await first.status("offline");
});
