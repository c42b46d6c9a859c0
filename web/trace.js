/** A request or response of the session has passed, to be looked at. */
export class MsrpTraceEvent extends Event {
  /** @param {{outgoing: boolean, size: number, data: Uint8Array}} event data is the wire form with the beginning of the body */
  constructor({ outgoing, size, data }) {
    super("trace");
    this.outgoing = outgoing;
    this.size = size;
    this.text = new TextDecoder().decode(data);
    const [, transactionId, what] = /** @type {RegExpExecArray} */ (/^MSRP (\S+) (\S+)/.exec(this.text));
    this.transactionId = transactionId;
    this.method = /^\d/.test(what) ? null : what;
    this.code = this.method ? null : Number(what);
  }
}
