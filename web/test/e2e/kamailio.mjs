// Debian's Kamailio, as a relay and as a SIP server.

import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import path from "node:path";
import { directory, freePort, guard, Process } from "./rig.mjs";

export const hasKamailio = existsSync("/usr/sbin/kamailio");

/** Waits until something takes connections; Kamailio does not say when. */
async function listening(port) {
  for (const end = Date.now() + guard; ; ) {
    const socket = connect(port, "127.0.0.1");
    try {
      await once(socket, "connect");
      return;
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    } finally {
      socket.destroy();
    }
  }
}

/** Starts Kamailio as a relay for alice with the password "secret". */
export const startKamailio = (t) => start(t, "msrp/testdata/kamailio.cfg");

/** Starts Kamailio as a SIP server, where everybody's password is "secret". */
export async function startRegistrar(t, port) {
  const registrar = await start(t, "proxy/sip/siptest/kamailio.cfg", port);
  return { ...registrar, webSocket: `ws://127.0.0.1:${registrar.port}/`, address: (name) => `sip:${name}@127.0.0.1:${registrar.port}` };
}

async function start(t, configuration, port) {
  const dir = await directory(t);
  port ??= await freePort();
  const config = await readFile(new URL(`../../../${configuration}`, import.meta.url), "utf8");
  const lib = (await readdir("/usr/lib")).find((name) => existsSync(`/usr/lib/${name}/kamailio/modules`));
  const values = { "@PORT@": port, "@MODULES@": `/usr/lib/${lib}/kamailio/modules/`, "@EXPIRES@": 3600 };
  await writeFile(path.join(dir, "kamailio.cfg"), config.replace(/@[A-Z]+@/g, (name) => values[name]));
  const args = ["-f", path.join(dir, "kamailio.cfg"), "-DD", "-E", "-w", dir, "-P", path.join(dir, "pid"), "-Y", dir];
  const kamailio = new Process(t, "/usr/sbin/kamailio", args);
  await listening(port).catch(() => assert.fail(`Kamailio does not listen:\n${kamailio.output}`));
  return { kamailio, port };
}

/** The answer of an endpoint that waits to be connected to, as its URI has it. */
export function answerOf(uri) {
  const { hostname, port } = new URL(uri.replace("msrp:", "http:"));
  const lines = ["v=0", `o=- 1 1 IN IP4 ${hostname}`, "s=-", `c=IN IP4 ${hostname}`, "t=0 0", `m=message ${port} TCP/MSRP *`, "a=accept-types:*", "a=setup:passive", `a=path:${uri}`];
  return { type: "answer", sdp: lines.map((line) => `${line}\r\n`).join("") };
}
