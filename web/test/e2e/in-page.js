// What the tests of the API share inside the page, beside the public module.
// Where to connect, and how, stands in the address of the page.

import { MsrpClient, MsrpError } from "./webmsrp.js";

export { MsrpClient, MsrpError };

const settings = new URLSearchParams(location.search);

/** The options that all tests here connect with. */
export const usual = {
  username: settings.get("username") ?? undefined,
  password: settings.get("password") ?? undefined,
  worker: settings.has("worker") ? settings.get("worker") === "true" : undefined,
};

/** Where the relay is. */
export const relay = settings.get("relay");

export const connect = (options = {}) => MsrpClient.connect(relay, { ...usual, ...options });

export function check(ok, what) {
  if (!ok) throw new Error(`not so: ${what}`);
}

export function equal(given, wanted, what = "") {
  const [a, b] = [JSON.stringify(given), JSON.stringify(wanted)];
  check(a === b, `${what} is ${a}, should be ${b}`);
}

/** Waits for an event. */
export const next = (target, type) => new Promise((resolve) => target.addEventListener(type, resolve, { once: true }));

/** Waits until the state of a session or client is the wanted one. */
export async function reaches(target, state) {
  while (target.connectionState !== state) await next(target, "connectionstatechange");
}

/** What a promise is rejected with. */
export const rejection = (promise, what = "the promise") =>
  promise.then(
    () => {
      throw new Error(`${what} was fulfilled`);
    },
    (error) => error,
  );

/** Waits for a rejection with an MsrpError that has these properties. */
export async function refusal(promise, properties, what = "") {
  const error = await rejection(promise, what);
  check(error instanceof MsrpError, `${what} ${error} is an MsrpError`);
  for (const [name, value] of Object.entries(properties)) equal(error[name], value, `${what} ${name} of ${error}`);
  return error;
}

/** Has two sessions agree; options are of the one that answers. */
export async function pair(client, other = client, options = {}) {
  const [caller, callee] = [client.createSession(), other.createSession(options)];
  await callee.setRemoteDescription(await caller.createOffer());
  await caller.setRemoteDescription(await callee.createAnswer());
  return [caller, callee];
}

/** Octets that are not all alike. */
export function pattern(length, factor = 31) {
  const octets = new Uint8Array(length);
  for (let at = 0; at < length; at++) octets[at] = (at * factor) >> 2;
  return octets;
}

/** A stream of octets in pieces, which notes what becomes of it. */
export function streamOf(octets, size = 10_000) {
  let at = 0;
  const noted = { pulled: 0, canceled: undefined };
  const stream = new ReadableStream(
    {
      pull(controller) {
        if (at >= octets.length) controller.close();
        else controller.enqueue(octets.slice(at, (at += size)));
        noted.pulled = Math.min(at, octets.length);
      },
      cancel(reason) {
        noted.canceled = { reason };
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, noted };
}

export async function octetsOf(stream) {
  const chunks = [];
  const reader = stream.getReader();
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) chunks.push(value);
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

/** Whether two pieces of binary data have the same octets. */
export function same(one, other) {
  const [a, b] = [one, other].map((data) => new Uint8Array(data));
  return a.length === b.length && a.every((octet, at) => octet === b[at]);
}
