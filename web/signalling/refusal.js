// What refusals of the other side, or of a server, mean to people.

import { MsrpError } from "../webmsrp.js";

/**
 * @param {string} what
 * @param {string | undefined} reason in the other side's words, if it gave one
 */
export function because(what, reason) {
  if (!reason) return `${what}.`;
  return `${what}: ${reason}${/[.!?]$/.test(reason) ? "" : "."}`;
}

/**
 * @param {number} code
 * @param {string} reason
 * @param {string} peer
 */
export function refusal(code, reason, peer) {
  if (code === 407) return MsrpError.status(401, reason); // of a SIP proxy
  /** @type {Record<number, string>} */
  const texts = {
    403: because(`The server does not let you reach ${peer}`, reason),
    404: `${peer} is not here.`,
    408: `${peer} does not answer.`,
    410: `${peer} is not here any more.`,
    415: `${peer} does not take this kind of conversation.`,
    429: because("The server slows this down", reason),
    480: `${peer} cannot be reached at the moment.`,
    486: `${peer} is busy.`,
    488: because(`${peer} cannot accept this conversation`, reason),
    491: `${peer} offers something at the same time.`,
    503: `${peer} cannot be reached at the moment.`,
    600: `${peer} is busy.`,
    603: `${peer} declined.`,
    604: `${peer} is not here.`,
    606: because(`${peer} cannot accept this conversation`, reason),
  };
  return texts[code] ? new MsrpError(texts[code], { code }) : MsrpError.status(code, reason);
}
