// Requests of SIP.js and the words of their answers.

import { MsrpError } from "../webmsrp.js";
import { because, refusal } from "./refusal.js";

/** What a description is in SIP. */
export const sdpType = "application/sdp";

/**
 * Sends a request and waits for the final response.
 * @param {string} peer
 * @param {(delegate: import("sip.js").Core.OutgoingRequestDelegate) => Promise<unknown>} send
 * @param {EventTarget & {reason: string}} [call] with which it ends
 * @returns {Promise<void>}
 */
export function asked(peer, send, call) {
  return new Promise((resolve, reject) => {
    /** @param {import("sip.js").Core.IncomingResponse} response */
    const refused = ({ message }) => reject(refusal(message.statusCode ?? 0, reasonOf(message), peer));
    call?.addEventListener("bye", () => reject(new MsrpError(because("The call ended", call.reason))), { once: true });
    send({ onAccept: () => resolve(), onReject: refused, onRedirect: refused }).catch(reject);
  });
}

/**
 * Why a response is no success: in the words of a Warning, if there is one.
 * @param {import("sip.js").Core.IncomingResponseMessage} message
 */
export function reasonOf(message) {
  return textOf(message.getHeader("Warning")) || (message.reasonPhrase ?? "");
}

/** @param {string | undefined} header Its quoted text. */
export function textOf(header) {
  return (/"((?:[^"\\]|\\.)*)"/.exec(header ?? "")?.[1] ?? "").replace(/\\(.)/g, "$1");
}

/** @param {string} text */
export function quote(text) {
  return `"${text.replace(/[\x00-\x1f\x7f]/g, " ").replace(/["\\]/g, "\\$&")}"`;
}

/** @param {string} text */
export function warning(text) {
  return `Warning: 399 webmsrp ${quote(text)}`;
}
