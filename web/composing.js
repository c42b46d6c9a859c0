// That somebody is writing (RFC 3994): told to the peer, and heard from it.

import { mediaType, parseTime } from "./cpim.js";
import { escapeXML, parseXML, textOf } from "./xml.js";

export const composingType = "application/im-iscomposing+xml";
const space = "urn:ietf:params:xml:ns:im-iscomposing";

/** The most octets of a status. */
const maxSize = 16 << 10;

/** How long who does nothing still counts as composing, in milliseconds. */
const idleAfter = 15_000;
/** When it is told again, and how long one that is not holds. */
const refreshAfter = 60_000;
const defaultHold = 120_000;
/** A refresh that is sent in time has still to arrive. */
const transit = 5000;
const maxHold = 2 ** 31 - 1;

/** @typedef {{active: boolean, contentType: string, lastActive: Date | null, refresh: number}} Status */

/** @param {Status} status */
function formatStatus({ active, contentType, lastActive, refresh }) {
  const parts = [`<state>${active ? "active" : "idle"}</state>`];
  if (lastActive) parts.push(`<lastactive>${lastActive.toISOString().replace(/\.\d+/, "")}</lastactive>`);
  if (contentType) parts.push(`<contenttype>${escapeXML(contentType)}</contenttype>`);
  if (refresh) parts.push(`<refresh>${refresh / 1000}</refresh>`);
  return `<?xml version="1.0" encoding="UTF-8"?>\n<isComposing xmlns="${space}">${parts.join("")}</isComposing>`;
}

/**
 * @param {string} document
 * @returns {Status}
 */
function parseStatus(document) {
  const root = parseXML(document);
  const state = textOf(root, "state");
  if (root.name !== "isComposing" || root.space !== space || !state) throw new SyntaxError("not an isComposing");
  const refresh = textOf(root, "refresh");
  return {
    active: state === "active",
    contentType: textOf(root, "contenttype"),
    lastActive: parseTime(textOf(root, "lastactive")),
    refresh: /^\+?\d+$/.test(refresh) ? Number(refresh) * 1000 : 0,
  };
}

/** The peer has begun or ended to compose, or composes something else. */
export class MsrpComposingEvent extends Event {
  /** @param {Status} status */
  constructor({ active, contentType, lastActive }) {
    super("composing");
    this.active = active;
    this.contentType = contentType;
    this.lastActive = lastActive;
  }
}

/** Both directions of one session. */
export class Composing {
  #send;
  #tell;
  /** Undefined while nothing is composed here. @type {{contentType: string, edited: number, told: number} | undefined} */
  #own;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #ownTimer;
  #refused = false;
  /** What the page was told last. @type {Status | undefined} */
  #theirs;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #theirTimer;

  /**
   * @param {(status: string) => Promise<void>} send rejects where the peer does not take it
   * @param {(event: MsrpComposingEvent) => void} tell
   */
  constructor(send, tell) {
    this.#send = send;
    this.#tell = tell;
  }

  /**
   * @param {boolean} active
   * @param {string} contentType
   */
  set(active, contentType) {
    const now = Date.now();
    if (!active) this.#idle();
    else if (this.#own?.contentType === contentType) this.#own.edited = now;
    else this.#say((this.#own = { contentType, edited: now, told: now }));
  }

  /** A message went out, which ends the composing without a word. */
  sent() {
    this.#own = undefined;
    clearTimeout(this.#ownTimer);
  }

  /** @param {{contentType: string, edited: number, told: number}} own Says that it is composed. */
  #say(own) {
    own.told = Date.now();
    this.#status({ active: true, contentType: own.contentType, lastActive: null, refresh: refreshAfter });
    this.#wait(own);
  }

  /** @param {{contentType: string, edited: number, told: number}} own Looks again when something may be due. */
  #wait(own) {
    const due = Math.min(own.edited + idleAfter, own.told + refreshAfter);
    clearTimeout(this.#ownTimer);
    this.#ownTimer = setTimeout(() => {
      const now = Date.now();
      if (now >= own.edited + idleAfter) this.#idle();
      else if (now >= own.told + refreshAfter) this.#say(own);
      else this.#wait(own);
    }, due - Date.now());
  }

  #idle() {
    const own = this.#own;
    if (!own) return;
    this.sent();
    this.#status({ active: false, contentType: own.contentType, lastActive: new Date(own.edited), refresh: 0 });
  }

  /** @param {Status} status */
  #status(status) {
    if (this.#refused) return;
    this.#send(formatStatus(status)).catch(({ code, kind }) => {
      if (code === 415 || kind === "type") this.#refused = true; // RFC 3994, section 4
    });
  }

  /**
   * Takes a message of the peer in, and says whether it was a status. Any other
   * ends the peer's composing.
   * @param {{contentType: string, data?: Uint8Array}} message
   */
  take({ contentType, data }) {
    const isStatus = mediaType(contentType) === composingType;
    try {
      if (!isStatus) this.#hear({ active: false, contentType: "", lastActive: null, refresh: 0 });
      else if (data && data.length <= maxSize) this.#hear(parseStatus(new TextDecoder().decode(data)));
    } catch {
      // A status that cannot be read says nothing.
    }
    return isStatus;
  }

  /** @param {Status} status */
  #hear(status) {
    const before = this.#theirs;
    clearTimeout(this.#theirTimer);
    this.#theirs = status.active ? status : undefined;
    if (status.active) {
      const hold = status.refresh ? Math.min(status.refresh + transit, maxHold) : defaultHold;
      this.#theirTimer = setTimeout(() => this.#hear({ ...status, active: false }), hold);
    }
    if (status.active ? before?.contentType !== status.contentType : before) this.#tell(new MsrpComposingEvent(status));
  }

  /** Ends it with the session. The peer does not compose any more. */
  close() {
    this.sent();
    this.#refused = true;
    this.#hear({ active: false, contentType: "", lastActive: null, refresh: 0 });
  }
}
