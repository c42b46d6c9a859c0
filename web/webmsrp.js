// The public module. What it exports is described in webmsrp.d.ts.

export { MsrpClient } from "./client.js";
export { MsrpError } from "./errors.js";
export { MsrpFileTransfer, MsrpIncomingMessage, MsrpMessageEvent, MsrpOutgoingMessage } from "./message.js";
export { MsrpSession } from "./session.js";
