/** <msrp-chat>: a chat in one element. Importing this module defines it. */

export class MsrpChatElement extends HTMLElement {
  /** The WebSocket of the relay. */
  url: string;
  /** Where to get {username, password} as JSON, asked with ?name=. Attribute: credentials-url. */
  credentialsUrl: string;
  /** The WebSocket of the rendezvous. Default: "rendezvous" beside url. */
  signalling: string;
  /** The own name at the rendezvous. */
  name: string;
  /** Whom to call once registered. Without it the widget waits. */
  peer: string;
  username: string;
  password: string;
  readonly status: MsrpChatStatus;
  call(peer: string): void;
  hangUp(): void;
  send(text: string): void;
  sendFiles(files: Iterable<File>): void;
  addEventListener<K extends keyof MsrpChatEventMap>(type: K, listener: (this: MsrpChatElement, event: MsrpChatEventMap[K]) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
}

export type MsrpChatStatus = "offline" | "joining" | "ready" | "calling" | "talking";

export interface MsrpChatEventMap extends HTMLElementEventMap {
  /** problem is what went wrong, "" if nothing did. */
  statuschange: CustomEvent<{ status: MsrpChatStatus; problem: string }>;
}

/** Every word that the widget says, to be replaced for another language. */
export const strings: Record<string, string>;

declare global {
  interface HTMLElementTagNameMap {
    "msrp-chat": MsrpChatElement;
  }
}
