// MsrpError and what its codes mean to people.

/** What a person can make of each code, and do about it. */
const texts = {
  400: "The other side could not read the request. Try a newer version of either program.",
  401: "Wrong username or password. Check both and log in again.",
  403: "The relay does not allow this. Ask whoever runs it.",
  404: "Nobody of that name is here. Check the name, or try again later.",
  408: "The other side cannot be reached or does not answer. Try again later.",
  413: "The other side does not want this message. Ask there before you send it again.",
  415: "The other side does not take this type of content. Send it in another form.",
  424: "The room does not take this nickname. Choose another.",
  425: "Somebody in the room has this nickname already. Choose another.",
  428: "Who is written to takes no private messages. Write to everyone.",
  481: "The conversation no longer exists on the other side. Start a new one.",
  486: "The other side is busy. Try again later.",
  488: "The other side cannot accept this kind of conversation. Ask what its program can do.",
  501: "The other side does not know this kind of request. Try a newer version of its program.",
  506: "The conversation is in use on another connection. Start a new one.",
  603: "The other side declined. Try again later.",
};

/** @type {Record<string, string>} */
const kinds = {
  lost: "The connection was lost. Connect again; what was not confirmed may or may not have arrived.",
  closed: "The conversation is closed. Start a new one.",
  aborted: "Sending was stopped.",
  type: "The other side does not take this type of content. Send it in another form.",
  size: "The message is larger than the other side takes. Send a smaller one.",
};

const unconfirmed = "This message may have arrived: the connection was lost before it was confirmed. Ask the other side, or send it again.";

/** @typedef {import("./webmsrp.d.ts").MsrpError["kind"]} Kind */

export class MsrpError extends Error {
  /**
   * @param {string} message
   * @param {{code?: number, kind?: Kind, messageId?: string, cause?: unknown}} [details]
   */
  constructor(message, details = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = /** @type {const} */ ("MsrpError");
    this.code = details.code;
    /** @type {Kind} */
    this.kind = details.kind ?? (details.code ? "status" : "failed");
    this.messageId = details.messageId;
  }

  /**
   * The error for a code of the peer, a relay or signalling.
   * @param {number} code
   * @param {string} [comment] the other side's own words
   * @param {{messageId?: string, cause?: unknown}} [details]
   */
  static status(code, comment, details = {}) {
    const known = texts[/** @type {keyof typeof texts} */ (code)];
    const words = known ?? `The other side answered ${code}${comment ? `: ${sentence(comment)}` : "."}`;
    return new MsrpError(words, { ...details, code });
  }

  /**
   * The error for what the core says of one.
   * @param {{message: string, kind?: Kind, code?: number, comment?: string, messageId?: string}} o
   */
  static from(o) {
    const cause = new Error(o.message);
    if (o.code) return MsrpError.status(o.code, o.comment, { messageId: o.messageId, cause });
    const text = o.kind === "lost" && o.messageId ? unconfirmed : o.kind && kinds[o.kind];
    return new MsrpError(text || sentence(o.message), { kind: o.kind, messageId: o.messageId, cause });
  }
}

/** @param {string} text Makes a sentence of a Go error. */
function sentence(text) {
  const plain = text.replace(/^(msrp|call|sdp): /, "");
  return plain.charAt(0).toUpperCase() + plain.slice(1) + (/[.?!)]$/.test(plain) ? "" : ".");
}
