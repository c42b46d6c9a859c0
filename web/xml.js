// As much of XML as the small documents of MSRP's extensions need. A page has
// DOMParser, but a worker that uses the client has not.

/** @typedef {{space: string, name: string, text: string, children: XMLElement[]}} XMLElement */

/** How far elements may be within others. */
const maxDepth = 16;

/** One piece of markup, or the text up to the next. */
const piece = /<!--[^]*?-->|<\?[^]*?\?>|<!\[CDATA\[([^]*?)\]\]>|<(\/?)([^\s<>/=!?"']+)(?=[\s/>])((?:"[^"]*"|'[^']*'|[^<>"'])*?)(\/?)>|([^<]+)/y;

/** @type {Record<string, string>} */
const entities = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

/**
 * The root of a document. Throws where it is not well-formed or has a DTD.
 * @param {string} document
 * @returns {XMLElement}
 */
export function parseXML(document) {
  /** @type {{element: XMLElement, tag: string, spaces: Record<string, string>}[]} */
  const open = [];
  /** @type {XMLElement | undefined} */
  let root;
  piece.lastIndex = 0;
  const source = document.replace(/^\ufeff/, "");
  while (piece.lastIndex < source.length) {
    const found = piece.exec(source);
    if (!found) throw new SyntaxError("not well-formed XML");
    const [, data, end, tag, attributes, empty, text] = found;
    const outer = open[open.length - 1];
    if (tag === undefined) {
      const content = data ?? (text && decode(text)) ?? "";
      if (outer) outer.element.text += content;
      else if (content.trim()) throw new SyntaxError("text outside of the XML element");
    } else if (end) {
      if (outer?.tag !== tag) throw new SyntaxError(`</${tag}> ends nothing`);
      open.pop();
    } else {
      if (!outer && root) throw new SyntaxError("two XML elements");
      /** @type {Record<string, string>} */
      const spaces = Object.create(outer?.spaces ?? null);
      for (const [, prefix, double, single] of attributes.matchAll(/\sxmlns(?::([^\s=]+))?\s*=\s*(?:"([^"]*)"|'([^']*)')/g)) {
        spaces[prefix ?? ""] = decode(double ?? single);
      }
      const colon = tag.indexOf(":");
      /** @type {XMLElement} */
      const element = { space: spaces[tag.slice(0, Math.max(0, colon))] ?? "", name: tag.slice(colon + 1), text: "", children: [] };
      if (outer) outer.element.children.push(element);
      else root = element;
      if (open.length > maxDepth) throw new SyntaxError("XML within XML within XML");
      if (!empty) open.push({ element, tag, spaces });
    }
  }
  if (!root || open.length > 0) throw new SyntaxError("the XML ends early");
  return root;
}

/** @param {string} text */
function decode(text) {
  return text.replace(/&([^;&\s]*)(;?)/g, (_, name, end) => {
    const number = /^#(?:x([0-9a-f]{1,6})|(\d{1,7}))$/i.exec(name);
    const code = number && parseInt(number[1] ?? number[2], number[1] ? 16 : 10);
    const character = number ? code && code <= 0x10ffff && String.fromCodePoint(code) : Object.hasOwn(entities, name) && entities[name];
    if (!character || !end) throw new SyntaxError(`&${name}${end} means nothing in XML`);
    return character;
  });
}

/**
 * Text as the content of an element.
 * @param {string} text
 */
export function escapeXML(text) {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`).replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd");
}

/**
 * The text of the one child of that name in the element's own namespace, or
 * "". Throws where there are two: the two ends could take different ones.
 * @param {XMLElement} element
 * @param {string} name
 */
export function textOf(element, name) {
  const found = element.children.filter((child) => child.name === name && child.space === element.space);
  if (found.length > 1) throw new SyntaxError(`${name} occurs twice`);
  return found[0]?.text.trim() ?? "";
}
