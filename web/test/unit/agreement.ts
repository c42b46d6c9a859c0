// That the modules are what webmsrp.d.ts and types/ say of them, for the
// compiler: nothing of this file ever runs.

import * as client from "../../client.js";
import * as composing from "../../composing.js";
import * as errors from "../../errors.js";
import * as file from "../../file.js";
import * as imdn from "../../imdn.js";
import * as message from "../../message.js";
import * as session from "../../session.js";
import * as rendezvous from "../../signalling/rendezvous.js";
import * as sip from "../../signalling/sip.js";
import * as trace from "../../trace.js";
import * as fileTransfer from "../../transfer.js";
import type * as rendezvousContract from "../../types/signalling/rendezvous.d.ts";
import type * as sipContract from "../../types/signalling/sip.d.ts";
import type * as widgetContract from "../../types/widget.d.ts";
import type * as contract from "../../webmsrp.d.ts";
import * as widget from "../../widget.js";

type Contract = typeof contract;

/** The class as far as its own members go: who may construct is checked below. */
type Statics<C> = Omit<C, "prototype">;

/** Compiles only where what is given is what the contract wants. */
declare function agrees<Wanted>(given: Wanted): void;

// Objects, with all their properties, methods and events.
declare const made: {
  client: client.MsrpClient;
  session: session.MsrpSession;
  outgoing: message.MsrpOutgoingMessage;
  transfer: fileTransfer.MsrpFileTransfer;
  incoming: message.MsrpIncomingMessage;
  event: message.MsrpMessageEvent;
  composing: composing.MsrpComposingEvent;
  notification: imdn.MsrpNotificationEvent;
  trace: trace.MsrpTraceEvent;
  file: file.MsrpIncomingFile;
  offer: file.MsrpFileOffer;
  offered: file.MsrpFileOfferEvent;
  request: file.MsrpFileRequest;
  requested: file.MsrpFileRequestEvent;
  error: errors.MsrpError;
  rendezvous: rendezvous.Rendezvous;
  call: rendezvous.Call;
  incomingCall: rendezvous.IncomingCallEvent<rendezvous.Call>;
  sip: sip.Sip;
  sipCall: sip.Call;
  sipIncoming: sip.IncomingCallEvent<sip.Call>;
  sipMessage: sip.SipMessageEvent;
  widget: widget.MsrpChatElement;
};
agrees<contract.MsrpClient>(made.client);
agrees<contract.MsrpSession>(made.session);
agrees<contract.MsrpOutgoingMessage>(made.outgoing);
agrees<contract.MsrpFileTransfer>(made.transfer);
agrees<contract.MsrpIncomingMessage>(made.incoming);
agrees<contract.MsrpMessageEvent>(made.event);
agrees<contract.MsrpComposingEvent>(made.composing);
agrees<contract.MsrpNotificationEvent>(made.notification);
agrees<contract.MsrpTraceEvent>(made.trace);
agrees<contract.MsrpIncomingFile>(made.file);
agrees<contract.MsrpFileOffer>(made.offer);
agrees<contract.MsrpFileOfferEvent>(made.offered);
agrees<contract.MsrpFileRequest>(made.request);
agrees<contract.MsrpFileRequestEvent>(made.requested);
agrees<contract.MsrpError>(made.error);
agrees<rendezvousContract.Rendezvous>(made.rendezvous);
agrees<rendezvousContract.Call>(made.call);
agrees<rendezvousContract.IncomingCallEvent>(made.incomingCall);
agrees<widgetContract.MsrpChatElement>(made.widget);
agrees<typeof widgetContract.strings>(widget.strings);

// Classes, with their static methods.
agrees<Statics<Contract["MsrpClient"]>>(client.MsrpClient);
agrees<Statics<Contract["MsrpSession"]>>(session.MsrpSession);
agrees<Statics<Contract["MsrpOutgoingMessage"]>>(message.MsrpOutgoingMessage);
agrees<Statics<Contract["MsrpFileTransfer"]>>(fileTransfer.MsrpFileTransfer);
agrees<Statics<Contract["MsrpIncomingMessage"]>>(message.MsrpIncomingMessage);
agrees<Statics<Contract["MsrpComposingEvent"]>>(composing.MsrpComposingEvent);
agrees<Statics<Contract["MsrpNotificationEvent"]>>(imdn.MsrpNotificationEvent);
agrees<Statics<Contract["MsrpTraceEvent"]>>(trace.MsrpTraceEvent);
agrees<Statics<Contract["MsrpIncomingFile"]>>(file.MsrpIncomingFile);
agrees<Statics<Contract["MsrpFileOffer"]>>(file.MsrpFileOffer);
agrees<Statics<Contract["MsrpFileOfferEvent"]>>(file.MsrpFileOfferEvent);
agrees<Statics<Contract["MsrpFileRequest"]>>(file.MsrpFileRequest);
agrees<Statics<Contract["MsrpFileRequestEvent"]>>(file.MsrpFileRequestEvent);
agrees<Statics<Contract["MsrpMessageEvent"]>>(message.MsrpMessageEvent);
agrees<Statics<typeof rendezvousContract.Rendezvous>>(rendezvous.Rendezvous);

// The only one that others construct.
agrees<Contract["MsrpError"]>(errors.MsrpError);

// Nothing public is left out of the contract: what begins with _ is for the
// other modules.
type Public<T> = Exclude<keyof T, `_${string}`>;
declare function complete<Given, Wanted>(_: [Exclude<Public<Given>, keyof Wanted>] extends [never] ? true : Exclude<Public<Given>, keyof Wanted>): void;
complete<client.MsrpClient, contract.MsrpClient>(true);
complete<session.MsrpSession, contract.MsrpSession>(true);
complete<message.MsrpOutgoingMessage, contract.MsrpOutgoingMessage>(true);
complete<fileTransfer.MsrpFileTransfer, contract.MsrpFileTransfer>(true);
complete<message.MsrpIncomingMessage, contract.MsrpIncomingMessage>(true);
complete<message.MsrpMessageEvent, contract.MsrpMessageEvent>(true);
complete<composing.MsrpComposingEvent, contract.MsrpComposingEvent>(true);
complete<imdn.MsrpNotificationEvent, contract.MsrpNotificationEvent>(true);
complete<trace.MsrpTraceEvent, contract.MsrpTraceEvent>(true);
complete<file.MsrpIncomingFile, contract.MsrpIncomingFile>(true);
complete<file.MsrpFileOffer, contract.MsrpFileOffer>(true);
complete<file.MsrpFileOfferEvent, contract.MsrpFileOfferEvent>(true);
complete<file.MsrpFileRequest, contract.MsrpFileRequest>(true);
complete<file.MsrpFileRequestEvent, contract.MsrpFileRequestEvent>(true);
complete<errors.MsrpError, contract.MsrpError>(true);
complete<rendezvous.Rendezvous, rendezvousContract.Rendezvous>(true);
complete<rendezvous.Call, rendezvousContract.Call>(true);
complete<rendezvous.IncomingCallEvent<rendezvous.Call>, rendezvousContract.IncomingCallEvent>(true);
complete<typeof rendezvous, typeof rendezvousContract>(true);
complete<typeof widget, typeof widgetContract>(true);
agrees<sipContract.Sip>(made.sip);
agrees<sipContract.Call>(made.sipCall);
agrees<sipContract.IncomingCallEvent>(made.sipIncoming);
agrees<sipContract.SipMessageEvent>(made.sipMessage);
agrees<Statics<typeof sipContract.Sip>>(sip.Sip);
complete<sip.Sip, sipContract.Sip>(true);
complete<sip.Call, sipContract.Call>(true);
complete<sip.SipMessageEvent, sipContract.SipMessageEvent>(true);
complete<typeof sip, typeof sipContract>(true);
