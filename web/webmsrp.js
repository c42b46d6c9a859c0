// The public module. What it exports is described in webmsrp.d.ts.

export { MsrpClient } from "./client.js";
export { MsrpComposingEvent } from "./composing.js";
export { MsrpError } from "./errors.js";
export { MsrpFileOffer, MsrpFileOfferEvent, MsrpFileRequest, MsrpFileRequestEvent, MsrpIncomingFile } from "./file.js";
export { MsrpNotificationEvent } from "./imdn.js";
export { MsrpIncomingMessage, MsrpMessageEvent, MsrpOutgoingMessage } from "./message.js";
export { MsrpSession } from "./session.js";
export { MsrpTraceEvent } from "./trace.js";
export { MsrpFileTransfer } from "./transfer.js";
