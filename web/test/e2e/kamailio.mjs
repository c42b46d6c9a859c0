// Debian's Kamailio as a relay.

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

/** Starts Kamailio for alice with the password "secret". */
export async function startKamailio(t) {
  const dir = await directory(t);
  const port = await freePort();
  const config = await readFile(new URL("../../../msrp/testdata/kamailio.cfg", import.meta.url), "utf8");
  const lib = (await readdir("/usr/lib")).find((name) => existsSync(`/usr/lib/${name}/kamailio/modules`));
  await writeFile(path.join(dir, "kamailio.cfg"), config.replaceAll("@PORT@", port).replace("@MODULES@", `/usr/lib/${lib}/kamailio/modules/`));
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
