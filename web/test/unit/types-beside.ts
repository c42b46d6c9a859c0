// The same as types.ts, for what lies beside the module: signalling and the widget.

import { MsrpError, type MsrpClient } from "webmsrp";
import { Call, IncomingCallEvent, Rendezvous, type RendezvousOptions } from "webmsrp/signalling/rendezvous.js";
import { MsrpChatElement, strings } from "webmsrp/widget";
import "webmsrp/widget";

/** Compiles only if both types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_: Same<A, B>): void {}

declare const client: MsrpClient;
declare const signal: AbortSignal;

export async function calling(): Promise<void> {
  const options: RendezvousOptions = { name: "alice", username: "alice", password: "secret", signal };
  const rendezvous = await Rendezvous.connect("/rendezvous", options);
  await Rendezvous.connect(new URL("wss://relay.example.com/rendezvous"), { name: "alice" });
  // @ts-expect-error Nobody could call.
  await Rendezvous.connect("/rendezvous");
  // @ts-expect-error Names are registered by connect.
  new Rendezvous();
  const session = client.createSession();
  const offer = await session.createOffer();
  // @ts-expect-error It takes the SDP of an offer.
  rendezvous.call("bob", offer);
  const { call, answer } = await rendezvous.call("bob", offer.sdp, { signal });
  same<typeof call, Call>(true);
  await session.setRemoteDescription({ type: "answer", sdp: answer });
  call.addEventListener("bye", function (event) {
    same<typeof event, Event>(true);
    same<typeof this, Call>(true);
    same<typeof this.reason, string>(true);
  });
  if (!call.over) call.bye("hung up");
  call.bye();
  same<Awaited<typeof rendezvous.closed>, MsrpError | undefined>(true);
  rendezvous.addEventListener("close", () => {});
  rendezvous.close();
}

export function beingCalled(rendezvous: Rendezvous): void {
  rendezvous.addEventListener("incoming", async (event) => {
    same<typeof event, IncomingCallEvent>(true);
    const { call } = event;
    const session = client.createSession();
    try {
      await session.setRemoteDescription({ type: "offer", sdp: call.offer });
      call.answer((await session.createAnswer()).sdp);
    } catch (error) {
      call.refuse(488, error instanceof MsrpError ? error.message : "");
    }
    // @ts-expect-error Whoever declines says why.
    call.refuse(486);
    // @ts-expect-error Only others call.
    call.peer = "bob";
  });
  // @ts-expect-error There are no other calls than others make.
  new Call();
}

export function showing(): MsrpChatElement {
  const chat = document.createElement("msrp-chat");
  same<typeof chat, MsrpChatElement>(true);
  chat.url = "wss://relay.example.com/msrp";
  chat.credentialsUrl = "/credentials";
  chat.addEventListener("statuschange", ({ detail }) => {
    if (detail.status === "ready") chat.call("support");
    // @ts-expect-error There is no such status.
    if (detail.status === "connected") chat.hangUp();
    same<typeof detail.problem, string>(true);
  });
  chat.addEventListener("click", ({ clientX }) => clientX);
  chat.sendFiles(document.querySelector<HTMLInputElement>("input")!.files!);
  // @ts-expect-error Texts are sent with send.
  chat.sendText("Hi");
  strings.send = "Senden";
  return document.querySelector("msrp-chat")!;
}
