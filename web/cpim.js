// The format message/cpim (RFC 3862): a wrapper that says from whom a message
// is, to whom and when it was sent, whatever carries it.

export const cpimType = "message/cpim";
export const cpimSpace = "urn:ietf:params:cpim-headers:";

/** The most that may stand in front of a content. */
const maxHead = 64 << 10;
const maxLines = 64;

/**
 * The media type without its parameters.
 * @param {string} contentType
 */
export function mediaType(contentType) {
  return contentType.split(";")[0].trim().toLowerCase();
}

/** @typedef {import("./webmsrp.d.ts").MsrpAddress} Address */
/** @typedef {import("./webmsrp.d.ts").MsrpWrapper} Wrapper */
/** @typedef {import("./webmsrp.d.ts").MsrpWrapperOptions} WrapperOptions */

/** What those are called who do not say, as RCS does it. */
export const anonymous = "sip:anonymous@anonymous.invalid";

// eslint-disable-next-line no-control-regex
const control = /[\u0000-\u0008\u000a-\u001f\u007f]/;

/** What every recipient understands (RFC 3862, section 3.5). */
const understood = new Set(["From", "To", "DateTime", "NS", "Require"].map((name) => cpimSpace + name));

/**
 * Takes the wrapper off a message that arrived, or has begun to. It stays where
 * there is no whole one, and where the sender requires what is not understood
 * here.
 * @template {{contentType: string, data?: Uint8Array<ArrayBuffer>, size?: number}} M
 * @param {M} message
 * @returns {M & {wrapper?: Wrapper, disposition?: string}}
 */
export function unwrap(message) {
  if (!message.data || mediaType(message.contentType) !== cpimType) return message;
  const opened = parseWrapper(message.data);
  if (!opened) return message;
  const { head, ...inner } = opened;
  return { ...message, ...inner, data: message.data.slice(head), size: message.size === undefined ? undefined : message.size - head };
}

/**
 * @param {Uint8Array} octets
 * @returns {{wrapper: Wrapper, contentType: string, disposition: string, head: number} | undefined} head is the length of what stands in front of the content
 */
function parseWrapper(octets) {
  const head = readHead(octets);
  if (!head) return undefined;
  /** @type {{namespace: string, name: string, value: string}[]} */
  const headers = [];
  /** @type {Map<string, string>} */
  const spaces = new Map([["", cpimSpace]]);
  /** @param {string} written */
  const resolve = (written) => {
    const dot = written.indexOf(".");
    return { namespace: spaces.get(written.slice(0, Math.max(0, dot))), name: written.slice(dot + 1) };
  };
  /** @type {string[]} */
  const required = [];
  for (const { name: written, value } of head.fields) {
    const { namespace, name } = resolve(written);
    const declared = written === "NS" || (namespace === cpimSpace && name === "NS");
    const [, prefix, uri] = (declared && /^(?:([^\s<>.:]+) *)?<([^<>\s]+)>$/.exec(value)) || [];
    if (uri) spaces.set(prefix ?? "", uri);
    if (namespace === undefined || declared) continue;
    if (namespace === cpimSpace && name === "Require") {
      required.push(...value.split(",").map((one) => one.trim()).filter(Boolean).map((one) => resolve(one)).map((one) => `${one.namespace}${one.name}`));
    }
    headers.push({ namespace, name, value });
  }
  if (required.some((name) => !understood.has(name))) return undefined;
  /** @param {string} name */
  const all = (name) => headers.filter((header) => header.namespace === cpimSpace && header.name === name).map(({ value }) => value);
  const contentType = head.content.get("content-type");
  const [from, to, cc] = ["From", "To", "cc"].map((name) => all(name).map(parseAddress));
  if (!contentType || from.length !== 1 || [...from, ...to, ...cc].includes(undefined)) return undefined;
  const wrapper = /** @type {Wrapper} */ ({ from: from[0], to, cc, dateTime: parseTime(all("DateTime")[0]), subject: unescape(all("Subject")[0] ?? ""), headers });
  return { wrapper, contentType, disposition: head.content.get("content-disposition") ?? "", head: head.size };
}

/**
 * @param {string | undefined} text a time of RFC 3339
 * @returns {Date | null}
 */
export function parseTime(text) {
  const time = new Date(/^\d{4}-\d\d-\d\dT/i.test(text ?? "") ? /** @type {string} */ (text) : NaN);
  return isNaN(time.getTime()) ? null : time;
}

/**
 * The headers of the message and of its content, and how many octets they are.
 * @param {Uint8Array} octets
 */
function readHead(octets) {
  /** @type {{name: string, value: string}[]} */
  const fields = [];
  /** @type {Map<string, string>} */
  let content = new Map();
  let last = "";
  let lines = 0;
  for (let at = 0; ; ) {
    const end = octets.subarray(0, maxHead).indexOf(10, at);
    if (end < 0) return undefined;
    const line = new TextDecoder().decode(octets.subarray(at, octets[end - 1] === 13 ? end - 1 : end));
    at = end + 1;
    if (line === "") {
      // Some repeat the headers of the whole here, as RFC 3862, section 5.1
      // prints them; others leave out the blank line in front of the content's,
      // as the examples of RFC 5438 do.
      if (content.size === 0) continue;
      if (fields.length > 0 || mediaType(content.get("content-type") ?? "") !== cpimType) return { fields, content, size: at };
      content = new Map();
      continue;
    }
    if (++lines > maxLines || control.test(line)) return undefined;
    if (/^[ \t]/.test(line)) {
      if (!content.has(last)) return undefined;
      content.set(last, `${content.get(last)} ${line.trim()}`);
      continue;
    }
    // The parameters of a header, such as ;lang=fr, are in front of the blank.
    const found = /^([^\s:]+):(?:;(?:"(?:[^"\\]|\\.)*"|[^" ;])*)*(.*)$/.exec(line);
    if (!found) return undefined;
    const [name, value] = [found[1], found[2].trim()];
    if (content.size > 0 || /^content-/i.test(name)) {
      last = name.toLowerCase();
      if (content.has(last)) return undefined; // the two ends could take different ones
      content.set(last, value);
    } else {
      fields.push({ name, value });
    }
  }
}

/**
 * @param {string} value name <uri>, the name in quotes or not
 * @returns {Address | undefined}
 */
export function parseAddress(value) {
  const found = /^(?:"((?:[^"\\]|\\.)*)" *|([^"<>]*))<([^<>\s"\\]+)>$/.exec(value);
  return found ? { name: unescape(found[1] ?? found[2].trim()), uri: found[3] } : undefined;
}

/** @param {string | Address} address */
function formatAddress(address) {
  const { name = "", uri } = typeof address === "string" ? { uri: address } : address;
  if (!/^[^<>\s"\\]+$/.test(uri)) throw new TypeError(`${JSON.stringify(uri)} is not a URI`);
  return name ? `"${escape(name).replace(/"/g, '\\"')}" <${uri}>` : `<${uri}>`;
}

/** @type {Record<string, string>} */
const escapes = { "\b": "b", "\t": "t", "\n": "n", "\r": "r", "\\": "\\" };

/** @param {string} text */
function escape(text) {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f\\]/g, (c) => `\\${escapes[c] ?? `u${c.charCodeAt(0).toString(16).padStart(4, "0")}`}`);
}

/** @param {string} value */
function unescape(value) {
  return value.replace(/\\(?:u([0-9a-f]{4})|(.?))/gi, (_, hex, c) => {
    if (hex) return String.fromCharCode(parseInt(hex, 16));
    return Object.keys(escapes).find((key) => escapes[key] === c) ?? c;
  });
}

/**
 * What stands in front of a content.
 * @param {WrapperOptions} options
 * @param {string} contentType
 * @param {{extra?: string[], disposition?: string}} [more] further headers, of the message and of the content
 */
export function formatWrapper({ from = anonymous, to = anonymous, cc = [], subject = "", dateTime = new Date() }, contentType, { extra = [], disposition } = {}) {
  /** @param {WrapperOptions["to"]} some */
  const list = (some = []) => (Array.isArray(some) ? some : [some]);
  const lines = [
    `From: ${formatAddress(from)}`,
    ...list(to).map((address) => `To: ${formatAddress(address)}`),
    ...list(cc).map((address) => `cc: ${formatAddress(address)}`),
    `DateTime: ${dateTime.toISOString()}`,
    ...(subject ? [`Subject: ${escape(subject.trim())}`] : []),
    ...extra,
    "",
    `Content-Type: ${contentType}`,
    ...(disposition ? [`Content-Disposition: ${disposition}`] : []),
  ];
  if (lines.some((line) => control.test(line))) throw new TypeError("control character in a header of the message");
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/**
 * A body with what stands in front of it.
 * @param {string} head
 * @param {import("./webmsrp.d.ts").MsrpBody} body
 * @returns {import("./webmsrp.d.ts").MsrpBody}
 */
export function prepend(head, body) {
  if (typeof body === "string") return head + body;
  if (!(body instanceof ReadableStream)) return new Blob([head, /** @type {BlobPart} */ (body)]);
  const reader = body.getReader();
  let first = true;
  return new ReadableStream(
    {
      async pull(controller) {
        if (first) {
          first = false;
          controller.enqueue(new TextEncoder().encode(head));
          return;
        }
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
