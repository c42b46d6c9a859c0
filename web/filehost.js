// What the page asks of files, between it and the core.

import { FileError, hashFile, readSize, Saving } from "./files.js";
import { pausable, toSource } from "./sources.js";

/** @typedef {(message: any, transfer: Transferable[]) => void} Post */

/**
 * @param {(request: any) => void} core what takes requests
 * @param {Post} page what takes messages
 * @returns {{handle: (request: any) => void, post: Post}} what takes the page's requests, and the core's messages
 */
export function serveFiles(core, page) {
  /** Those being received, by their numbers. @type {Map<number, Saving>} */
  const saving = new Map();
  /** The bodies being sent, by the numbers of their messages. @type {Map<number, {pause(paused: boolean): void}>} */
  const sending = new Map();
  /** Those of which the core has not said that it sends them: their messages by the requests. @type {Map<number, number>} */
  const starting = new Map();
  /** Requests of this module's own, whose numbers are below 0. @type {Map<number, {resolve: (result: any) => void, reject: (error: any) => void}>} */
  const waiting = new Map();
  let latest = 0;

  /** @param {string} op @param {object} fields */
  const ask = (op, fields) =>
    new Promise((resolve, reject) => {
      waiting.set(--latest, { resolve, reject });
      core({ id: latest, op, ...fields });
    });

  /** @param {any} request Writes what arrives of a message, of which the page may have the beginning. */
  const save = ({ file, incoming, data, ...part }) => {
    const pieces = data ? [data] : [];
    const next = async () => pieces.shift() ?? (incoming === undefined ? null : ask("read", { incoming, max: readSize }));
    return saving.get(file)?.take(next, part, (octets) => page({ event: "saved", message: file, octets }, []));
  };

  /** The answers to the page, by operation. @type {Record<string, (request: any) => any>} */
  const operations = {
    hash: ({ file }) => hashFile(file),
    pause: ({ message, file, paused }) => (saving.get(file) ?? sending.get(message))?.pause(paused),
    opensave: ({ file, destination, algorithm }) => void saving.set(file, new Saving(destination, algorithm)),
    save,
    closesave: ({ file, whole }) => {
      const saved = saving.get(file);
      saving.delete(file);
      return whole ? saved?.finish() : saved?.abort();
    },
  };

  return {
    handle(request) {
      const operation = operations[request.op];
      if (operation) {
        (async () => operation(request))().then(
          (result) => page({ id: request.id, result }, []),
          (error) => page({ id: request.id, error: error instanceof FileError ? { kind: error.kind, message: error.message } : error instanceof Error ? { message: error.message } : error }, []),
        );
        return;
      }
      if (request.op === "send") {
        const { message } = request;
        const body = toSource(request.body);
        request.body = typeof body === "object" && "pull" in body ? pausable(body, () => sending.delete(message)) : body;
        if (request.body !== body) {
          sending.set(message, request.body);
          starting.set(request.id, message);
        }
      }
      core(request);
    },
    post(message, transfer) {
      const started = starting.get(message.id);
      if (started !== undefined) starting.delete(message.id);
      if (started !== undefined && message.error) sending.delete(started);
      const own = waiting.get(message.id);
      if (!own) {
        page(message, transfer);
        return;
      }
      waiting.delete(message.id);
      if (message.error) own.reject(message.error);
      else own.resolve(message.result);
    },
  };
}
