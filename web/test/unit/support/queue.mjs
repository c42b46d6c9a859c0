/** What came, to be waited for in order. */
export class Queue {
  #items = [];
  #takers = [];

  push(item) {
    const taker = this.#takers.shift();
    if (taker) taker(item);
    else this.#items.push(item);
  }

  /** @returns {Promise<any>} */
  next() {
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift());
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  /** How many have come and were not taken. */
  get length() {
    return this.#items.length;
  }
}
