// The names of files, to and from peers.

/**
 * The Content-Disposition of a file.
 * @param {string} name
 */
export function dispositionOf(name) {
  // eslint-disable-next-line no-control-regex
  return `attachment; filename="${name.replace(/[\u0000-\u001f\u007f]/g, "_").replace(/[\\"]/g, "\\$&")}"`;
}

/**
 * The file name of a Content-Disposition, without any path, or null.
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
  return name && safeName(name);
}

/**
 * The name of a file without any path, or null.
 * @param {string} name the peer's
 */
export function safeName(name) {
  // eslint-disable-next-line no-control-regex
  const safe = name.replace(/^.*[/\\]/s, "").replace(/[\u0000-\u001f\u007f]/g, "_");
  return ["", ".", ".."].includes(safe) ? null : safe;
}
