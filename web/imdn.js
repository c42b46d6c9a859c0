// Disposition notifications (RFC 5438): what became of a message, as told by
// who received it.

import { cpimSpace, formatWrapper, mediaType, parseAddress } from "./cpim.js";
import { escapeXML, parseXML, textOf } from "./xml.js";

export const imdnType = "message/imdn+xml";
const namespace = "urn:ietf:params:imdn";
const space = "urn:ietf:params:xml:ns:imdn";

/** The most octets of a notification. */
const maxSize = 64 << 10;
/** How many messages are remembered that the peer wants to hear of. */
const maxPending = 1024;

/** @typedef {import("./webmsrp.d.ts").MsrpDisposition} Disposition */
/** @typedef {import("./webmsrp.d.ts").MsrpWrapper} Wrapper */
/** @typedef {{id: string, dateTime: string, wrapper: Wrapper, wanted: Set<string>, routes: string[], originalTo: string}} Request */

/** The statuses of each type. @type {Record<string, string[]>} */
const statuses = {
  delivery: ["delivered", "failed", "forbidden", "error"],
  processing: ["processed", "stored", "forbidden", "error"],
  display: ["displayed", "forbidden", "error"],
};

/**
 * The headers that ask for notifications of a message.
 * @param {string} id
 * @param {Disposition[]} types
 */
export function askHeaders(id, types) {
  const wishes = types.flatMap((type) => ({ delivery: ["positive-delivery", "negative-delivery"], display: ["display"] })[/** @type {"delivery" | "display"} */ (type)] ?? []);
  if (wishes.length === 0) throw new TypeError('notify takes "delivery" and "display"');
  return [`NS: imdn <${namespace}>`, `imdn.Message-ID: ${id}`, `imdn.Disposition-Notification: ${wishes.join(", ")}`];
}

/**
 * What the sender of a message wants to hear of it. RFC 5438, section 7.1.1
 * requires all of this.
 * @param {Wrapper} wrapper
 * @returns {Request | undefined}
 */
function requestOf(wrapper) {
  /** @param {string} in_ @param {string} name */
  const all = (in_, name) => wrapper.headers.filter((header) => header.namespace === in_ && header.name === name).map(({ value }) => value);
  const [id] = all(namespace, "Message-ID");
  const [dateTime] = all(cpimSpace, "DateTime");
  const wanted = new Set(all(namespace, "Disposition-Notification").flatMap((value) => value.split(",").map((wish) => wish.split(";")[0].trim())));
  if (!id || id.length > 256 || !dateTime || wanted.size === 0 || wrapper.to.length !== 1) return undefined;
  const [originalTo] = all(namespace, "Original-To").map(parseAddress);
  return { id, dateTime, wrapper, wanted, routes: all(namespace, "IMDN-Record-Route"), originalTo: originalTo?.uri ?? wrapper.to[0].uri };
}

/**
 * @param {Request} request
 * @param {Disposition} type
 * @param {string} status
 * @param {string} id of the notification
 */
function formatNotification({ id: about, dateTime, wrapper, routes, originalTo }, type, status, id) {
  const [me] = wrapper.to;
  /** @param {string} name @param {string} text */
  const element = (name, text) => `<${name}>${escapeXML(text)}</${name}>`;
  const extra = [`NS: imdn <${namespace}>`, `imdn.Message-ID: ${id}`, ...routes.map((route) => `imdn.IMDN-Route: ${route}`)];
  return [
    formatWrapper({ from: me, to: wrapper.from }, imdnType, { extra, disposition: "notification" }),
    `<?xml version="1.0" encoding="UTF-8"?>\n<imdn xmlns="${space}">`,
    ...[element("message-id", about), element("datetime", dateTime), element("recipient-uri", me.uri), element("original-recipient-uri", originalTo)],
    `<${type}-notification><status><${status}/></status></${type}-notification></imdn>`,
  ].join("");
}

/** @param {string} document */
function parseNotification(document) {
  const root = parseXML(document);
  const messageId = textOf(root, "message-id");
  const about = root.children.filter(({ name, space: s }) => s === space && Object.hasOwn(statuses, name.replace(/-notification$/, "")));
  const type = about[0]?.name.replace("-notification", "");
  const known = about[0]?.children.filter(({ name }) => name === "status").flatMap(({ children }) => children.filter(({ name }) => statuses[type].includes(name)));
  if (root.name !== "imdn" || root.space !== space || !messageId || about.length !== 1 || known.length !== 1) throw new SyntaxError("not a notification");
  return { messageId, disposition: /** @type {Disposition} */ (type), status: /** @type {any} */ (known[0].name), recipient: textOf(root, "recipient-uri") };
}

/** The peer, or a server on the way, tells what became of a message. */
export class MsrpNotificationEvent extends Event {
  /** @param {ReturnType<typeof parseNotification>} notification */
  constructor({ messageId, disposition, status, recipient }) {
    super("notification");
    this.messageId = messageId;
    this.disposition = disposition;
    this.status = status;
    this.recipient = recipient;
  }
}

/** Those of one session. */
export class Notifications {
  #send;
  #tell;
  /** By the Message-ID: those whose display is to be told of. @type {Map<string, Request>} */
  #pending = new Map();

  /**
   * @param {(format: (id: string) => string) => void} send
   * @param {(event: MsrpNotificationEvent) => void} tell
   */
  constructor(send, tell) {
    this.#send = send;
    this.#tell = tell;
  }

  /**
   * Takes a message of the peer in, and says whether it was a notification.
   * Nobody is notified of notifications.
   * @param {{messageId: string, contentType: string, disposition: string, wrapper?: Wrapper, incoming?: number, data?: Uint8Array, read?: () => void}} message
   */
  take(message) {
    const { wrapper, data, contentType } = message;
    if (!wrapper) return false;
    if (mediaType(contentType) === imdnType) {
      try {
        if (data && data.length <= maxSize && message.incoming === undefined) this.#tell(new MsrpNotificationEvent(parseNotification(new TextDecoder().decode(data))));
      } catch {
        // One that cannot be read says nothing.
      }
      return true;
    }
    const request = mediaType(message.disposition) === "notification" ? undefined : requestOf(wrapper);
    if (request?.wanted.has("display")) {
      this.#pending.set(message.messageId, request);
      if (this.#pending.size > maxPending) this.#pending.delete(/** @type {string} */ (this.#pending.keys().next().value));
    }
    if (request?.wanted.has("positive-delivery")) {
      const delivered = () => this.#send((id) => formatNotification(request, "delivery", "delivered", id));
      if (message.incoming === undefined) delivered();
      else message.read = delivered;
    }
    return false;
  }

  /** @param {string} messageId Tells the sender that the message was shown, once and if wanted. */
  displayed(messageId) {
    const request = this.#pending.get(messageId);
    if (request) this.#send((id) => formatNotification(request, "display", "displayed", id));
    return this.#pending.delete(messageId);
  }
}
