// The package as others get it: the samples, without a bundler and with Vite,
// built, served and used as a person does.

import assert from "node:assert/strict";
import { cp, mkdir, readdir, readFile, symlink } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build, createServer } from "vite";
import { directory, freePort, guard, openPage, policies, Process, startBrowser, startDev, startSite } from "./rig.mjs";

const web = fileURLToPath(new URL("../..", import.meta.url));

/** Packs the package and unpacks it, as npm install does. */
async function install(t) {
  const dir = await directory(t);
  const pack = new Process(t, "npm", ["pack", "--silent", `--pack-destination=${dir}`], { cwd: web });
  assert.equal(await pack.ended, 0, pack.output);
  const unpack = new Process(t, "tar", ["-xzf", path.join(dir, pack.output.trim()), "-C", dir]);
  assert.equal(await unpack.ended, 0, unpack.output);
  return path.join(dir, "package");
}

/** Calls the echo from a sample, and hears what it says. */
async function use(page, server) {
  const { username, password } = await (await fetch(new URL("credentials?name=alice", server.url))).json();
  const fill = (form, fields) =>
    page.evaluate(
      (form, fields) => {
        for (const [name, value] of Object.entries(fields)) document.querySelector(`#${form} [name=${name}]`).value = value;
        document.querySelector(`#${form} button`).click();
      },
      form,
      fields,
    );
  await fill("call", { relay: `${server.url.replace("http", "ws")}msrp`, name: "alice", username, password, peer: "echo" });
  await page.waitForSelector("#say:not([hidden])").catch(async (error) => {
    throw new Error(`the sample does not get through: ${await page.$eval("#log", (log) => log.textContent)}`, { cause: error });
  });
  await fill("say", { text: "Grüße 👋" });
  await page.waitForSelector("#log li:nth-child(2)");
  const said = await page.$$eval("#log li", (items) => items.map((item) => item.textContent));
  assert.deepEqual(said.sort(), ["alice: Grüße 👋", "echo: Grüße 👋"]);
  assert.equal(page.workers().length, 1, "in a worker");
}

test("the package", { timeout: 6 * guard }, async (t) => {
  const installed = await install(t);
  const browser = await startBrowser(t);

  await t.test("has what it needs and no more", async () => {
    const files = (await readdir(installed, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
    assert.deepEqual(files.map((entry) => path.relative(installed, path.join(entry.parentPath ?? entry.path, entry.name))).sort(), [
      "LICENSE",
      "README.md",
      "dist/host.js",
      "dist/msrp.wasm",
      "dist/signalling/rendezvous.js",
      "dist/signalling/sip.js",
      "dist/webmsrp.js",
      "dist/widget.js",
      "dist/worker.js",
      "package.json",
      "types/signalling/rendezvous.d.ts",
      "types/signalling/sip.d.ts",
      "types/widget.d.ts",
      "webmsrp.d.ts",
    ]);
    const manifest = JSON.parse(await readFile(path.join(installed, "package.json"), "utf8"));
    assert.equal(manifest.dependencies, undefined, "everything is in it");
    const exported = Object.values(manifest.exports).flatMap((target) => (typeof target === "string" ? target : Object.values(target)));
    for (const name of exported) {
      for (const signalling of ["rendezvous", "sip"]) if (name !== "./dist/*") await readFile(path.join(installed, name.replace("*", signalling)));
    }
  });

  await t.test("without a bundler", { timeout: 2 * guard }, async (t) => {
    const site = await startSite(t, async (variant, file) => {
      const inSample = file.startsWith("webmsrp/") ? path.join(installed, "dist", file.slice(8)) : path.join(web, "samples/plain", file || "index.html");
      return { body: await readFile(inSample), headers: { "Content-Security-Policy": policies("plain", path.basename(file)) } };
    });
    const server = await startDev(t, `--origin=${site.origin}`);
    await use(await openPage(t, browser, `${site.origin}/plain/`), server);
  });

  await t.test("with Vite", { timeout: 4 * guard }, async (t) => {
    const root = await directory(t);
    await cp(path.join(web, "samples/vite"), root, { recursive: true });
    await mkdir(path.join(root, "node_modules"));
    await cp(installed, path.join(root, "node_modules/webmsrp"), { recursive: true });
    await symlink(path.join(web, "node_modules/vite"), path.join(root, "node_modules/vite"));
    const warnings = [];
    const customLogger = { info() {}, warn: (text) => warnings.push(text), warnOnce: (text) => warnings.push(text), error: (text) => warnings.push(text), clearScreen() {}, hasErrorLogged: () => false, hasWarned: false };
    const common = { root, configFile: false, customLogger };

    await t.test("built", { timeout: 2 * guard }, async (t) => {
      await build({ ...common, base: "/vite/" });
      const site = await startSite(t, async (variant, file) => ({
        body: await readFile(path.join(root, "dist", file || "index.html")),
        headers: { "Content-Security-Policy": policies("vite", path.basename(file).replace(/^worker-.*\.js$/, "worker.js")) },
      }));
      const server = await startDev(t, `--origin=${site.origin}`);
      await use(await openPage(t, browser, `${site.origin}/vite/`), server);
    });

    await t.test("in development", { timeout: 2 * guard }, async (t) => {
      const dev = await createServer({ ...common, server: { host: "127.0.0.1", port: await freePort() } });
      t.after(() => dev.close());
      await dev.listen();
      const origin = new URL(dev.resolvedUrls.local[0]).origin;
      const server = await startDev(t, `--origin=${origin}`);
      await use(await openPage(t, browser, `${origin}/`), server);
    });

    assert.deepEqual(warnings, [], "Vite has nothing to say");
  });
});
