import nodeTest from "node:test";

/** A test that fails rather than waits forever for what does not happen. */
export const test = (name, run) => nodeTest(name, { timeout: 20_000 }, run);

/** Lets everything go on that can go on now, such as streams and ports. */
export async function turns() {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Resolves with the next event of that type. */
export const event = (target, type) => new Promise((resolve) => target.addEventListener(type, resolve, { once: true }));
