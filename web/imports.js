// What the protocol core calls for each message, see wasm/imports_js.go. It knows
// WebSockets, and octets that it has no need to see, by numbers.

/** @typedef {ReturnType<typeof import("./socket.js").openSocket>} Socket */

/**
 * @param {(at: number, size: number) => Uint8Array<ArrayBuffer>} memory views the core's memory
 * @param {(message: object, transfer: Transferable[]) => void} post sends a message to the page
 */
export function newImports(memory, post) {
  /** @type {Numbered<Socket>} */
  const sockets = new Numbered();
  /** @type {Numbered<Uint8Array>} */
  const octets = new Numbered();
  return {
    sockets,
    /** @type {Record<string, (...args: number[]) => number | void>} */
    functions: {
      // The core may still ask of a WebSocket that it has closed.
      send: (number, at, size) => sockets.find(number)?.send(at >>> 0, size) ?? -1,
      buffered: (number) => sockets.find(number)?.buffered() ?? -1,
      next: (number) => sockets.find(number)?.next() ?? -1,
      take: (number, at) => sockets.get(number).take(at >>> 0),
      keep(number) {
        const body = sockets.find(number)?.keep();
        return body ? octets.add(body) : 0;
      },
      store: (at, size) => octets.add(memory(at >>> 0, size).slice()),
      size: (number) => octets.get(number).length,
      load(number, at) {
        const array = octets.take(number);
        memory(at >>> 0, array.length).set(array);
      },
      drop: (number) => void octets.take(number),
      answer(id, at, count) {
        const list = memory(at >>> 0, 4 * count).slice();
        const result = Array.from(new Int32Array(list.buffer), (number) => octets.take(number));
        post({ id, result }, result.map((array) => array.buffer));
      },
    },
  };
}

/**
 * Things by numbers from 1 on.
 * @template T
 */
class Numbered {
  /** @type {Map<number, T>} */
  #things = new Map();
  #latest = 0;

  /** @param {T} thing */
  add(thing) {
    this.#things.set(++this.#latest, thing);
    return this.#latest;
  }

  /** @param {number} number */
  find(number) {
    return this.#things.get(number);
  }

  /** @param {number} number @returns {T} */
  get(number) {
    return /** @type {T} */ (this.#things.get(number));
  }

  /** @param {number} number @returns {T} */
  take(number) {
    const thing = this.get(number);
    this.#things.delete(number);
    return thing;
  }

  values() {
    return this.#things.values();
  }
}
