import assert from "node:assert/strict";
import { Composing, composingType } from "../../composing.js";
import { MsrpError } from "../../errors.js";
import { test } from "./support/cases.mjs";

/** One side, with what it sends and tells, and a clock that the test moves. */
function side(t, send = async () => {}) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: Date.UTC(2026, 0, 1) });
  const sent = [];
  const wire = [];
  const told = [];
  const composing = new Composing(
    (status) => {
      sent.push(/<state>(.*?)<.*/.exec(status)[1]);
      wire.push(status);
      return send(status);
    },
    (event) => told.push(event.active),
  );
  const hear = (document, contentType = composingType) => composing.take({ contentType, data: new TextEncoder().encode(document) });
  return { composing, sent, wire, told, hear, tick: (seconds) => t.mock.timers.tick(seconds * 1000) };
}

const status = (inner) => `<?xml version="1.0"?><isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing">${inner}</isComposing>`;
const active = status("<state>active</state>");

test("it is told once, again after a minute, and when nothing more is done", (t) => {
  const { composing, sent, wire, tick } = side(t);
  for (let second = 0; second < 70; second++) {
    composing.set(true, "text/plain");
    tick(1);
  }
  assert.deepEqual(sent, ["active", "active"]);
  assert.match(wire.at(-1), /<contenttype>text\/plain<\/contenttype><refresh>60<\/refresh>/);
  tick(13);
  assert.equal(sent.length, 2);
  tick(1);
  assert.deepEqual(sent, ["active", "active", "idle"]);
  assert.match(wire.at(-1), /<lastactive>2026-01-01T00:01:09Z<\/lastactive>/);
  tick(1000);
  assert.equal(sent.length, 3);
  composing.set(true, "text/plain");
  assert.equal(sent.length, 4);
});

test("who gives up says so, who sends does not have to", (t) => {
  const { composing, sent, tick } = side(t);
  composing.set(false, "");
  composing.set(true, "");
  composing.set(false, "");
  assert.deepEqual(sent, ["active", "idle"]);
  composing.set(true, "");
  composing.sent();
  tick(1000);
  assert.deepEqual(sent, ["active", "idle", "active"]);
});

test("something of another type is told", (t) => {
  const { composing, sent } = side(t);
  composing.set(true, "text/plain");
  composing.set(true, "audio");
  composing.set(true, "audio");
  assert.deepEqual(sent, ["active", "active"]);
});

test("a peer that does not take it is left alone, one that was out of reach is not", async (t) => {
  let error = new MsrpError("lost", { kind: "lost" });
  const { composing, sent } = side(t, async () => {
    throw error;
  });
  composing.set(true, "");
  await Promise.resolve();
  error = MsrpError.status(415);
  composing.set(false, "");
  assert.equal(sent.length, 2);
  for (let i = 0; i < 5; i++) await Promise.resolve();
  composing.set(true, "");
  assert.equal(sent.length, 2);
});

test("the peer composes until it says, sends something, or is not heard of any more", (t) => {
  const { told, hear, tick } = side(t);
  assert.equal(hear(active), true);
  assert.equal(hear(active), true);
  hear(status("<state>idle</state>"));
  assert.deepEqual(told, [true, false]);
  hear(active);
  assert.equal(hear("Hello", "text/plain"), false);
  assert.deepEqual(told, [true, false, true, false]);
  hear(active);
  tick(119);
  assert.equal(told.length, 5);
  tick(1);
  assert.equal(told.length, 6);
  hear(status("<state>active</state><refresh>60</refresh>"));
  tick(64);
  hear(status("<state>active</state><refresh>60</refresh>"));
  tick(64);
  assert.equal(told.length, 7);
  tick(1);
  assert.deepEqual(told.slice(6), [true, false]);
});

test("states that nobody knows are idle, and what cannot be read says nothing", (t) => {
  const { told, hear, tick } = side(t);
  hear(active);
  for (const document of ["", "<isComposing/>", active.replace("urn:", "urn:x"), status(""), `${active}<x/>`, status("<state>idle</state><state>active</state>"), status(`<state>idle</state>${" ".repeat(16 << 10)}`)]) {
    assert.equal(hear(document), true, "it is not for the page");
  }
  assert.deepEqual(told, [true]);
  hear(status("<state>dreaming</state>"));
  assert.deepEqual(told, [true, false]);
  hear(status("<state>active</state><refresh>99999999999999999999</refresh>"));
  tick(2 ** 31 / 1000 - 2);
  assert.deepEqual(told, [true, false, true]);
});

test("with the session everything ends", (t) => {
  const { composing, sent, told, hear, tick } = side(t);
  composing.set(true, "");
  hear(active);
  composing.close();
  tick(1000);
  composing.set(true, "");
  assert.deepEqual(sent, ["active"]);
  assert.deepEqual(told, [true, false]);
});
