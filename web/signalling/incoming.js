/**
 * A call came in: accept or refuse its call.
 * @template C
 */
export class IncomingCallEvent extends Event {
  /** @param {C} call */
  constructor(call) {
    super("incoming");
    this.call = call;
  }
}
