import assert from "node:assert/strict";
import { MsrpError } from "../../errors.js";
import { test } from "./support/cases.mjs";

/** What a person can do is said in the imperative. */
const advice = /(?:^|[.;] )(?:Ask|Check|Connect|Send|Start|Try) .*\.$/;

/** Every code that the core, a relay or the rendezvous answers with to a chat. */
const codes = [400, 401, 403, 404, 408, 413, 415, 481, 486, 488, 501, 506, 603];

for (const code of codes) {
  test(`${code} says what it means and what to do, not the protocol's words`, () => {
    const error = MsrpError.status(code, "Stop Sending Message");
    assert.match(error.message, advice);
    assert.doesNotMatch(error.message, /Stop Sending Message|\d/);
    assert.equal(error.code, code);
    assert.equal(error.kind, "status");
  });
}

test("no two codes say the same", () => {
  assert.equal(new Set(codes.map((code) => MsrpError.status(code).message)).size, codes.length);
});

test("an unknown code is told with the other side's own words", () => {
  assert.equal(MsrpError.status(429, "too many calls at once").message, "The other side answered 429: Too many calls at once.");
  assert.equal(MsrpError.status(499).message, "The other side answered 499.");
  assert.equal(MsrpError.status(499, "").message, "The other side answered 499.");
});

for (const kind of ["lost", "closed", "type", "size"]) {
  test(`an error of kind ${kind} says what to do`, () => {
    const error = MsrpError.from({ message: "msrp: in Go's words", kind, messageId: "m1" });
    assert.match(error.message, advice);
    assert.equal(error.kind, kind);
    assert.equal(error.code, undefined);
    assert.equal(error.messageId, "m1");
  });
}

test("what was stopped on purpose says only that", () => {
  assert.equal(MsrpError.from({ message: "msrp: aborted", kind: "aborted" }).message, "Sending was stopped.");
});

test("an error of the core keeps Go's words as its cause", () => {
  const error = MsrpError.from({ message: "msrp: 415 Unsupported Media Type", code: 415, kind: "status", comment: "no such thing", messageId: "m2" });
  assert.equal(error.message, MsrpError.status(415).message);
  assert.equal(error.cause.message, "msrp: 415 Unsupported Media Type");
  assert.equal(error.code, 415);
  assert.equal(error.kind, "status");
  assert.equal(error.messageId, "m2");
});

test("what the core says itself becomes a sentence", () => {
  const said = (message) => MsrpError.from({ message }).message;
  assert.equal(said("msrp: the port is shut"), "The port is shut.");
  assert.equal(said("call: no common media"), "No common media.");
  assert.equal(said("sdp: line 3: no v="), "Line 3: no v=.");
  assert.equal(said("is the proxy running?"), "Is the proxy running?");
  assert.equal(said("no relay there (the WebSocket broke off)"), "No relay there (the WebSocket broke off)");
  assert.equal(MsrpError.from({ message: "anything" }).kind, "failed");
});

test("the error is an Error with a name and without an empty cause", () => {
  const error = new MsrpError("Words.");
  assert.ok(error instanceof Error);
  assert.equal(error.name, "MsrpError");
  assert.equal(error.kind, "failed");
  assert.equal("cause" in error, false);
  assert.match(String(error), /^MsrpError: Words\.$/);
  const cause = new TypeError("why");
  assert.equal(new MsrpError("Words.", { cause }).cause, cause);
  assert.equal(MsrpError.status(401, "", { cause, messageId: "m3" }).cause, cause);
});
