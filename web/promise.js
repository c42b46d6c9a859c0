/**
 * A promise with its resolvers at hand.
 * @returns {{promise: Promise<void>, resolve: () => void, reject: (error: Error) => void}}
 */
export function deferred() {
  /** @type {any} */
  const d = {};
  d.promise = new Promise((resolve, reject) => Object.assign(d, { resolve, reject }));
  return d;
}
