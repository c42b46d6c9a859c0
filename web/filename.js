// The names of files, to and from peers.

/** Bounds on names, in octets: file systems take 255, some of which may be added to. */
const maxName = 200;
const maxEnding = 32;

/**
 * The Content-Disposition of a file.
 * @param {string} name
 */
export function dispositionOf(name) {
  return `attachment; filename="${safeName(name) ?? "file"}"`;
}

/**
 * The file name of a Content-Disposition, as safeName has it.
 * @param {string} disposition
 */
export function fileNameOf(disposition) {
  const match = /;\s*filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;]*))/i.exec(disposition);
  const extended = /;\s*filename\*\s*=\s*utf-8''([^;]*)/i.exec(disposition);
  let name = match ? (match[1]?.replace(/\\(.)/g, "$1") ?? match[2].trim()) : null;
  if (extended) {
    try {
      name = decodeURIComponent(extended[1].trim());
    } catch {
      // The plain form will do.
    }
  }
  return name ? safeName(name) : null;
}

/** @param {string} name */
const trim = (name) => name.replace(/^[. ]+|[. ]+$/g, "");

/** What Windows takes for a device, whatever its ending. */
const device = /^(?:con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)[0-9¹²³]) *(?:\.|$)/i;

/**
 * The name of a file on any system, of what a peer calls it (RFC 5547, section
 * 6), or null where nothing is left. As SafeName of the Go package file: without
 * directories, characters that cannot be seen or change the direction of text,
 * those that a system forbids, dots and blanks at its ends; it is short, and no
 * device.
 * @param {string} name
 */
export function safeName(name) {
  let safe = name.replace(/[/\\]+$/, "").replace(/^.*[/\\]/s, "");
  safe = safe.replace(/[<>:"|?*\ufffd\p{Cs}]/gu, "_").replace(/[\t-\r\u0085\p{Z}]/gu, " ").replace(/\p{C}/gu, "");
  safe = trim(safe);
  if (device.test(safe)) safe = `_${safe}`;
  const encoder = new TextEncoder();
  if (encoder.encode(safe).length > maxName) {
    const [ending] = /\.[^.]*$/.exec(safe) ?? [""];
    const kept = encoder.encode(ending).length <= maxEnding ? ending : "";
    const room = new Uint8Array(maxName - encoder.encode(kept).length);
    const { read } = encoder.encodeInto(safe.slice(0, safe.length - kept.length), room);
    safe = trim(safe.slice(0, read)) + kept;
  }
  return safe || null;
}
