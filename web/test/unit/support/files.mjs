// fetch for the files of web/, as a web server does it: Node's own takes no
// file: URLs. The core lies in dist, beside the modules as they are published.

import { readFile } from "node:fs/promises";

const web = new URL("../../../", import.meta.url);
const overNetwork = globalThis.fetch;

globalThis.fetch = async (url, options) => {
  if (!String(url).startsWith(web.href)) return overNetwork(url, options);
  const name = String(url).slice(web.href.length);
  try {
    return new Response(await readFile(new URL(name === "msrp.wasm" ? "dist/msrp.wasm" : name, web)), {
      headers: { "Content-Type": name.endsWith(".wasm") ? "application/wasm" : "application/octet-stream" },
    });
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
    if (name === "msrp.wasm") throw new Error("there is no web/dist/msrp.wasm: run make build first");
    return new Response("", { status: 404, statusText: "Not Found" });
  }
};
