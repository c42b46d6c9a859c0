// Runs the benchmarks of the core natively and, compiled as it is for the
// browser, in a worker of Chromium, one after the other, and prints them side by
// side: medians of several runs.
//
//   node test/e2e/bench.mjs GO-TEST-BINARY WASM-TEST-BINARY WASM_EXEC.JS

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { test } from "node:test";
import { startBrowser } from "./rig.mjs";

const [native, wasm, wasmExec] = process.argv.slice(2);
const runs = 5;
const flags = ["-test.run=^$", "-test.benchmem", "-test.benchtime=200ms", `-test.count=${runs}`];
const everything = "-test.bench=.";
const inBrowser = "-test.bench=Read/.*/msrp|Parse|Append|Session/pipe";

/** Reads "BenchmarkX/y-2  100  1234 ns/op  …  5 allocs/op" into medians by name. */
function medians(output) {
  const all = new Map();
  for (const [, name, ns, allocs] of output.matchAll(/^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+([\d.]+) ns\/op.*?(?:(\d+) allocs\/op)?$/gm)) {
    const list = all.get(name) ?? [];
    list.push({ ns: Number(ns), allocs: Number(allocs) });
    all.set(name, list);
  }
  return new Map([...all].map(([name, list]) => [name, list.sort((a, b) => a.ns - b.ns)[list.length >> 1]]));
}

/** Runs the binary in a dedicated worker of Chromium and returns what it prints. */
async function runInChromium(t) {
  const worker = `importScripts("/wasm_exec.js");
    console.log = (line) => postMessage({ line });
    const go = new Go();
    go.argv = ["msrp.test", ...${JSON.stringify([...flags, inBrowser])}];
    go.exit = (status) => postMessage({ status });
    WebAssembly.instantiateStreaming(fetch("/test.wasm"), go.importObject)
      .then(({ instance }) => go.run(instance), (error) => postMessage({ line: String(error), status: 1 }));`;
  const page = `<!doctype html><script>
    const worker = new Worker("/worker.js");
    worker.onmessage = ({ data }) => {
      if (data.line !== undefined) console.log(data.line);
      if (data.status !== undefined) console.log("exit status " + data.status);
    };
  </script>`;
  const files = {
    "/": ["text/html", page],
    "/worker.js": ["text/javascript", worker],
    "/wasm_exec.js": ["text/javascript", await readFile(wasmExec)],
    "/test.wasm": ["application/wasm", await readFile(wasm)],
  };
  const server = createServer((request, response) => {
    const [type, body] = files[request.url] ?? ["text/plain", ""];
    response.setHeader("Content-Type", type);
    response.end(body);
  }).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const tab = await (await startBrowser(t)).newPage();
  const output = [];
  const status = new Promise((resolve) => {
    tab.on("console", (message) => {
      output.push(message.text());
      if (message.text().startsWith("exit status")) resolve(message.text());
    });
  });
  await tab.goto(`http://127.0.0.1:${server.address().port}/`);
  assert.equal(await status, "exit status 0", output.join("\n"));
  return output.join("\n");
}

test("benchmarks", async (t) => {
  const natively = medians(execFileSync(native, [everything, ...flags], { encoding: "utf8", maxBuffer: 1 << 24 }));
  const inChromium = medians(await runInChromium(t));
  const row = (name, ...cells) => console.log(name.padEnd(24) + cells.map((cell) => String(cell).padStart(13)).join(""));
  row(`medians of ${runs}`, "native ns", "allocs", "textproto ns", "native/it", "wasm ns", "wasm/native");
  for (const [name, { ns, allocs }] of natively) {
    if (name.endsWith("/textproto")) continue;
    const baseline = name.endsWith("/msrp") ? natively.get(name.replace(/msrp$/, "textproto")).ns : undefined;
    const wasm = inChromium.get(name)?.ns;
    row(name, ns, allocs, baseline ?? "", baseline ? (ns / baseline).toFixed(2) : "", wasm ?? "", wasm ? (wasm / ns).toFixed(1) : "");
  }
  console.log("textproto: net/textproto on bufio reads the same header lines and skips the same body");
});
