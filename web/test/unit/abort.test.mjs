import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { abortable } from "../../abort.js";
import { test } from "./support/cases.mjs";

const never = new Promise(() => {});

test("without a signal the promise is passed on", async () => {
  assert.equal(await abortable(Promise.resolve(1)), 1);
  await assert.rejects(abortable(Promise.reject(new Error("no"))), /^Error: no$/);
});

test("with a signal the promise's outcome counts until the abort", async () => {
  const { signal } = new AbortController();
  assert.equal(await abortable(Promise.resolve(1), signal), 1);
  await assert.rejects(abortable(Promise.reject(new Error("no")), signal), /^Error: no$/);
});

test("an abort rejects with the signal's reason, whatever becomes of the promise", async () => {
  const controller = new AbortController();
  const aborted = abortable(never, controller.signal);
  const reason = { any: "reason" };
  controller.abort(reason);
  await assert.rejects(aborted, (error) => error === reason);
});

test("a signal that is aborted already wins over a promise that is settled", async () => {
  await assert.rejects(abortable(Promise.resolve(1), AbortSignal.abort()), { name: "AbortError" });
});

test("a rejection after the abort is no unhandled one", async () => {
  const controller = new AbortController();
  let reject;
  const aborted = abortable(new Promise((_, no) => (reject = no)), controller.signal);
  controller.abort();
  await assert.rejects(aborted, { name: "AbortError" });
  reject(new Error("late")); // fails this file if nobody handles it
});

test("nothing stays on a signal that lives on", async () => {
  const { signal } = new AbortController();
  const waiting = abortable(Promise.resolve(), signal);
  assert.equal(getEventListeners(signal, "abort").length, 1);
  await waiting;
  await abortable(Promise.reject(new Error("no")), signal).catch(() => {});
  await Promise.resolve();
  assert.equal(getEventListeners(signal, "abort").length, 0);
});
