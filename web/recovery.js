// When to try again what the network has broken, and when to look whether it has.

/** The longest time that a timer takes, in milliseconds: with more it is over at once. */
export const longestTime = 2 ** 31 - 1;

/** For how long a lost connection is tried again, in milliseconds, unless the page says otherwise. */
const patience = 120_000;

/**
 * @param {boolean | {timeout?: number} | undefined} reconnect
 * @returns {number} milliseconds, 0 for not at all
 */
export function patienceOf(reconnect = true) {
  return reconnect === true ? patience : reconnect ? Math.min(reconnect.timeout ?? patience, longestTime) : 0;
}

/**
 * How long nothing may come before the other end is asked for a sign of life, and
 * how long that may take: browsers do not tell of a connection that the network
 * has lost. Together they are less than the 30 seconds after which a request of
 * MSRP counts as failed.
 */
const quietTime = 20_000;
const answerTime = 9_500;

/**
 * Watches a connection.
 * @param {() => void} ask asks the other end for a sign of life
 * @param {() => void} dead is called where none comes
 */
export function watchSilence(ask, dead) {
  let heard = performance.now();
  let asked = false;
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  const wake = (/** @type {() => void} */ next, /** @type {number} */ delay) => {
    clearTimeout(timer);
    timer = setTimeout(next, delay);
  };
  const doubt = () => {
    asked = true;
    wake(dead, answerTime);
    ask();
  };
  const look = () => {
    const quiet = performance.now() - heard;
    if (quiet < quietTime) wake(look, quietTime - quiet);
    else doubt();
  };
  wake(look, quietTime);
  return {
    /** Something has come. */
    hear() {
      heard = performance.now();
      if (asked) wake(look, quietTime);
      asked = false;
    },
    /** Asks now. */
    check() {
      if (!asked) wake(doubt, 0);
    },
    stop: () => clearTimeout(timer),
  };
}

/** The bounds of the time between two attempts, in milliseconds. */
const shortest = 250;
const longest = 30_000;

/**
 * Calls listener whenever the network may be back, or the page was away: then it
 * may have lost connections without a word.
 * @param {() => void} listener
 * @returns {() => void} what ends that
 */
export function onWake(listener) {
  const { document } = globalThis;
  const shown = () => document.visibilityState === "visible" && listener();
  globalThis.addEventListener?.("online", listener);
  document?.addEventListener("visibilitychange", shown);
  document?.addEventListener("resume", listener);
  return () => {
    globalThis.removeEventListener?.("online", listener);
    document?.removeEventListener("visibilitychange", shown);
    document?.removeEventListener("resume", listener);
  };
}

/**
 * Waits before an attempt: at most twice as long as before the one before it, and
 * by chance less, so that not all who lost one server come back at one moment.
 * It ends early when the network may be back.
 * @param {number} attempt from 0 on
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
export function backOff(attempt, signal) {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      stop();
      signal.removeEventListener("abort", end);
      if (signal.aborted) reject(signal.reason);
      else resolve();
    };
    const timer = setTimeout(end, Math.random() * Math.min(longest, shortest * 2 ** attempt));
    const stop = onWake(end);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}

/**
 * Opens a connection that was lost, again and again until it succeeds. It rejects
 * with the reason of life, with a refusal of the credentials, which the other end
 * would only refuse again until it locks the user out, or once the time is over
 * with what the last attempt has failed with.
 * @param {(signal: AbortSignal) => Promise<void>} open
 * @param {number} time in milliseconds
 * @param {AbortSignal} life
 */
export async function recover(open, time, life) {
  const attempts = new AbortController();
  const { signal } = attempts;
  /** @type {any} */
  let problem;
  const late = setTimeout(() => attempts.abort(problem), time);
  const stop = () => attempts.abort(life.reason);
  life.addEventListener("abort", stop);
  if (life.aborted) stop();
  try {
    for (let attempt = 0; ; attempt++) {
      await backOff(attempt, signal);
      try {
        return await open(signal);
      } catch (error) {
        problem = error;
        if (signal.aborted || problem.code === 401 || problem.code === 403) throw error;
      }
    }
  } finally {
    clearTimeout(late);
    life.removeEventListener("abort", stop);
  }
}
