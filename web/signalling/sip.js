// Signalling by SIP over a WebSocket (RFC 7118).

export { IncomingCallEvent } from "./incoming.js";
export { Sip, SipMessageEvent } from "./sip-agent.js";
export { Call } from "./sip-call.js";
