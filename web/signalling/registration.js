// What a name at a rendezvous and a user at a SIP server have in common: a
// connection that comes back, with calls that wait for it.

import { patienceOf, recover } from "../recovery.js";
import { MsrpError } from "../webmsrp.js";

/**
 * What a registration tells its calls.
 * @typedef {object} Line
 * @property {(error: MsrpError) => void} _disconnected
 * @property {() => void} _reconnected
 * @property {(error: MsrpError) => void} _lose
 */

/** @abstract Events: "incoming", "connectionstatechange", "close". */
export class Registration extends EventTarget {
  /** @type {"connecting" | "connected" | "reconnecting" | "closed"} */
  #state = "connecting";
  /** @type {MsrpError | undefined} */
  #error;
  /** Ends with the registration. */
  #life = new AbortController();
  #patience;
  #listens = false;

  /** @param {boolean | {timeout?: number} | undefined} reconnect as that of MsrpClient.connect */
  constructor(reconnect) {
    super();
    this.#patience = patienceOf(reconnect);
    /** Resolves when the registration has ended, with the reason unless it was close(). @type {Promise<MsrpError | undefined>} */
    this.closed = new Promise((resolve) => this.addEventListener("close", () => resolve(this.#error?.kind === "closed" ? undefined : this.#error)));
  }

  get connectionState() {
    return this.#state;
  }

  /** Why it has ended. */
  get _error() {
    return this.#error;
  }

  /** For how long a lost connection is tried again, in milliseconds. */
  get _patience() {
    return this.#patience;
  }

  /** Whether somebody takes calls. */
  get _listens() {
    return this.#listens;
  }

  /**
   * Connects and registers.
   * @abstract
   * @param {AbortSignal | undefined} signal
   * @returns {Promise<void>}
   */
  async _open(signal) {}

  /** @abstract Takes leave of the connection, for good. */
  _leave() {}

  /** @abstract @returns {Iterable<Line>} */
  get _calls() {
    return [];
  }

  /** @param {"connected" | "reconnecting" | "closed"} state */
  _setState(state) {
    this.#state = state;
    this.dispatchEvent(new Event("connectionstatechange"));
  }

  /** @param {MsrpError} error The connection is gone: opens another, or ends. */
  async _recover(error) {
    if (this.#patience === 0) return this._end(error);
    this._setState("reconnecting");
    for (const call of [...this._calls]) call._disconnected(error);
    try {
      await recover((signal) => this._open(signal), this.#patience, this.#life.signal);
    } catch (problem) {
      return this._end(problem instanceof MsrpError && problem.code ? problem : error);
    }
    this._setState("connected");
    for (const call of this._calls) call._reconnected();
  }

  /** @param {MsrpError} error */
  _end(error) {
    if (this.#state === "closed") return;
    this.#error = error;
    this._leave();
    this.#life.abort();
    for (const call of [...this._calls]) call._lose(error);
    this._setState("closed");
    this.dispatchEvent(new Event("close"));
  }

  /**
   * @param {string} type
   * @param {EventListenerOrEventListenerObject | null} listener
   * @param {boolean | AddEventListenerOptions} [options]
   * @override
   */
  addEventListener(type, listener, options) {
    if (type === "incoming") this.#listens = true;
    super.addEventListener(type, listener, options);
  }
}
