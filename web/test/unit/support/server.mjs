// The real program, started for one test file.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import readline from "node:readline";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../../../bin/webmsrp", import.meta.url));

// Ends the program as soon as nobody holds the other end of the standard input:
// after the test, but also where its process was killed.
const guarded = '"$@" </dev/null & read -r how; kill "${how:--TERM}" $!; wait $!';

/**
 * Starts serve --dev on free ports.
 * @param {{after(end: () => unknown): void}} t what it ends with
 */
export async function startServer(t) {
  if (!existsSync(program)) throw new Error("there is no bin/webmsrp: run make build first");
  const ports = ["--listen=127.0.0.1:0", "--msrp-listen=127.0.0.1:0", "--msrps-listen=127.0.0.1:0", "--admin-listen="];
  const child = spawn("sh", ["-c", guarded, "sh", program, "serve", "--dev", ...ports], { stdio: ["pipe", "pipe", "pipe"] });
  const closed = once(child, "close");
  const end = async (how) => {
    child.stdin.end(how);
    await closed;
  };
  t.after(() => end(""));
  let output = "";
  const page = await new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      readline.createInterface({ input: stream }).on("line", (line) => {
        output += `${line}\n`;
        const url = /^\s*(http:\/\/\S+\/)$/.exec(line)?.[1];
        if (url) resolve(url);
      });
    }
    closed.then(() => reject(new Error(`the server ended:\n${output}`)));
  });
  const ws = page.replace("http", "ws");
  return {
    page,
    relay: `${ws}msrp`,
    rendezvous: `${ws}rendezvous`,
    /** Ends it without a word to anyone. */
    crash: () => end("-KILL\n"),
    /** The demo's credentials for a name. */
    async credentials(name) {
      const { username, password } = await (await fetch(`${page}credentials?name=${encodeURIComponent(name)}`)).json();
      return { username, password };
    },
  };
}
