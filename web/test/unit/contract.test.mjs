// The rest of the contract is for the compiler, see types.ts and agreement.ts.

import "./support/browser.mjs";
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import * as webmsrp from "../../webmsrp.js";
import { test } from "./support/cases.mjs";

test("the module exports the classes of its description, and nothing else", async () => {
  const description = await readFile(new URL("../../webmsrp.d.ts", import.meta.url), "utf8");
  const described = Array.from(description.matchAll(/^export (?:class|const|function) (\w+)/gm), ([, name]) => name);
  assert.deepEqual(Object.keys(webmsrp).sort(), described.sort());
});

test("what only the client makes says so to others who try", () => {
  assert.throws(() => new webmsrp.MsrpClient(), /use MsrpClient\.connect/);
  assert.throws(() => new webmsrp.MsrpSession(), /use MsrpClient\.createSession/);
});
