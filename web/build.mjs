// Builds web/dist: bundles the modules, takes in the wasm that make has put
// there, and compresses everything for the proxy to serve as it is.

import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFile, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import zlib from "node:zlib";

const web = path.dirname(fileURLToPath(import.meta.url));
const dist = path.join(web, "dist");

/** The most octets after brotli, of files together. */
const budgets = [
  { what: "the core", files: ["msrp.wasm"], most: 760 * 1024 },
  { what: "the client", files: ["webmsrp.js", "worker.js", "host.js"], most: 40 * 1024 },
  { what: "SIP, for who wants it", files: ["signalling/sip.js"], most: 48 * 1024 },
];

// wasm_exec.js belongs to the toolchain that made the wasm.
const goroot = execFileSync("go", ["env", "GOROOT"], { encoding: "utf8" }).trim();
await copyFile(path.join(goroot, "lib/wasm/wasm_exec.js"), path.join(web, "wasm_exec.js"));

// The package needs the licence beside it.
await copyFile(path.join(web, "../LICENSE"), path.join(web, "LICENSE"));

for (const name of await readdir(dist)) {
  if (name !== "placeholder" && name !== "msrp.wasm") await rm(path.join(dist, name), { recursive: true });
}

/** A hash as for the attribute integrity. */
const integrityOf = (data, algorithm = "sha384") => `${algorithm}-${createHash(algorithm).update(data).digest("base64")}`;

const common = {
  define: { WASM_INTEGRITY: JSON.stringify(integrityOf(await readFile(path.join(dist, "msrp.wasm")), "sha256")) },
  absWorkingDir: web,
  outdir: dist,
  bundle: true,
  format: "esm",
  target: ["chrome111", "firefox115", "safari16.4"],
  minify: true,
  sourcemap: false,
  legalComments: "eof",
  logLevel: "warning",
};

// Each of these is a file of its own that the others load by its URL, so that
// a page has one copy of each however much of it it uses.
const apart = {
  name: "apart",
  setup(b) {
    b.onResolve({ filter: /^\.{1,2}\/(webmsrp|host|widget|signalling\/\w+)\.js$/ }, ({ path: name, kind }) =>
      kind === "entry-point" ? undefined : { path: name, external: true },
    );
  },
};

await build({
  ...common,
  entryPoints: ["webmsrp.js", "worker.js", "host.js", "widget.js", "page.js"],
  plugins: [apart],
});
await build({
  ...common,
  entryPoints: ["signalling/rendezvous.js"],
  outdir: path.join(dist, "signalling"),
  plugins: [apart],
});
await build({
  ...common,
  entryPoints: ["signalling/sip.js"],
  outdir: path.join(dist, "signalling"),
  plugins: [apart],
  footer: { js: `/*! SIP.js:\n${await readFile(path.join(web, "node_modules/sip.js/LICENSE.md"), "utf8")}*/` },
});
await build({ ...common, entryPoints: ["style.css"] });
await copyFile(path.join(web, "icon.svg"), path.join(dist, "icon.svg"));

/** Sizes after brotli, by name. */
const sizes = new Map();
for (const name of await readdir(dist, { recursive: true })) {
  if (!/\.(js|css|wasm|svg|webmanifest)$/.test(name)) continue;
  const file = path.join(dist, name);
  const data = await readFile(file);
  const c = zlib.constants;
  const br = zlib.brotliCompressSync(data, {
    params: {
      [c.BROTLI_PARAM_QUALITY]: 11,
      [c.BROTLI_PARAM_LGWIN]: 24,
      [c.BROTLI_PARAM_SIZE_HINT]: data.length,
      // Four-octet steps and short distances are common in wasm: 9 KB less. And
      // smaller blocks: 1 to 4 KB less, depending on chance.
      [c.BROTLI_PARAM_NPOSTFIX]: name.endsWith(".wasm") ? 2 : 0,
      [c.BROTLI_PARAM_NDIRECT]: name.endsWith(".wasm") ? 28 : 0,
      [c.BROTLI_PARAM_LGBLOCK]: name.endsWith(".wasm") ? 16 : 0,
    },
  });
  await writeFile(`${file}.br`, br);
  await writeFile(`${file}.gz`, zlib.gzipSync(data, { level: 9 }));
  sizes.set(name, br.length);
  console.log(`${name.padEnd(24)} ${kib(data.length)} ${kib(br.length)} brotli ${name.endsWith(".js") ? integrityOf(data) : ""}`.trimEnd());
}
for (const { what, files, most } of budgets) {
  const size = files.reduce((sum, name) => sum + sizes.get(name), 0);
  console.log(`${what}: ${kib(size)} of ${kib(most)} brotli${size > most ? "  TOO LARGE" : ""}`);
  if (size > most) process.exitCode = 1;
}

function kib(octets) {
  return `${(octets / 1024).toFixed(1).padStart(7)} KiB`;
}
