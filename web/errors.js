// MsrpError and what its codes mean to people.

/** What a person can make of each code, and do about it. */
const texts = {
  400: "The other side could not read the request.",
  401: "Wrong username or password.",
  403: "The relay does not allow this.",
  404: "Nobody of that name is here.",
  408: "The other side cannot be reached or does not answer.",
  413: "The other side does not want this message.",
  415: "The other side does not take this type of content.",
  481: "The conversation no longer exists on the other side.",
  486: "The other side is busy.",
  488: "The other side cannot accept this kind of conversation.",
  501: "The other side does not know this kind of request.",
  506: "The conversation is in use on another connection.",
  603: "The other side declined.",
};

/** @type {Record<string, string>} */
const kinds = {
  lost: "The connection was lost. What was not confirmed may or may not have arrived.",
  closed: "The conversation is closed.",
  aborted: "Sending was stopped.",
  type: "The other side does not take this type of content.",
  size: "The message is larger than the other side takes.",
};

export class MsrpError extends Error {
  /**
   * @param {string} message
   * @param {{code?: number, kind?: string, messageId?: string, cause?: unknown}} [details]
   */
  constructor(message, details = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "MsrpError";
    this.code = details.code;
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
    const words = known ?? `The other side answered ${code}.`;
    return new MsrpError(comment && !known ? `${words} ${comment}` : words, { ...details, code });
  }

  /**
   * The error for what the core says of one.
   * @param {{message: string, kind?: string, code?: number, comment?: string, messageId?: string}} o
   */
  static from(o) {
    const cause = new Error(o.message);
    if (o.code) return MsrpError.status(o.code, o.comment, { messageId: o.messageId, cause });
    const text = o.kind && kinds[o.kind];
    return new MsrpError(text || sentence(o.message), { kind: o.kind, messageId: o.messageId, cause });
  }
}

/** @param {string} text Makes a sentence of a Go error. */
function sentence(text) {
  const plain = text.replace(/^(msrp|call|sdp): /, "");
  return plain.charAt(0).toUpperCase() + plain.slice(1) + (/[.?!)]$/.test(plain) ? "" : ".");
}
