// What the page asks of files, between it and the core.

import { Hash, hashFile } from "./hash.js";
import { FileError, readSize, Saving } from "./saving.js";
import { pausable, toSource } from "./sources.js";

/** @typedef {(message: any, transfer: Transferable[]) => void} Post */

/**
 * @param {(request: any) => void} core what takes requests
 * @param {Post} page what takes messages
 * @returns {{handle: (request: any) => void, post: Post, end: () => void}} what takes the page's requests, and the core's messages, and what gives up all files
 */
export function serveFiles(core, page) {
  /** Those being received, by their numbers. @type {Map<number, Saving>} */
  const saving = new Map();
  /** The bodies being sent, by the numbers of their messages. @type {Map<number, {pause(paused: boolean): void}>} */
  const sending = new Map();
  /** Those of which the core has not said that it sends them: their messages by the requests. @type {Map<number, number>} */
  const starting = new Map();
  /** What is being hashed, by the numbers of the messages. @type {Map<number, AbortController>} */
  const hashing = new Map();
  /** Requests of this module's own, whose numbers are below 0. @type {Map<number, {resolve: (result: any) => void, reject: (error: any) => void}>} */
  const waiting = new Map();
  let latest = 0;

  /** @param {string} op @param {object} fields */
  const ask = (op, fields) =>
    new Promise((resolve, reject) => {
      waiting.set(--latest, { resolve, reject });
      core({ id: latest, op, ...fields });
    });

  /** The answers to the page, by operation. @type {Record<string, (request: any) => any>} */
  const operations = {
    async hash({ message, file }) {
      const stopping = new AbortController();
      hashing.set(message, stopping);
      const sums = { "sha-1": new Hash("sha-1"), "sha-256": new Hash("sha-256") };
      await hashFile(file, Object.values(sums), stopping.signal).finally(() => hashing.delete(message));
      return { "sha-1": sums["sha-1"].sum(), "sha-256": sums["sha-256"].sum() };
    },
    stophash: ({ message }) => hashing.get(message)?.abort(),
    pause: ({ message, file, paused }) => (saving.get(file) ?? sending.get(message))?.pause(paused),
    opensave: ({ file, destination, algorithm, begun }) => void saving.set(file, new Saving(destination, algorithm, begun)),
    /** Writes what arrives of a message, of which the page may have the beginning. */
    save({ file, incoming, data, offset, end }) {
      let pieces = data ? [data] : [];
      const next = async () => {
        if (pieces.length === 0 && incoming !== undefined) pieces = (await ask("read", { incoming, max: readSize })) ?? [];
        return pieces.shift() ?? null;
      };
      return saving.get(file)?.take(next, { offset, end }, (octets) => page({ event: "saved", message: file, octets }, []));
    },
    async finishsave({ file, hash }) {
      const blob = await saving.get(file)?.finish(hash);
      saving.delete(file);
      return blob;
    },
    dropsave({ file }) {
      const given = saving.get(file);
      saving.delete(file);
      return given?.abort();
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
        request.body = toSource(request.body);
        if (typeof request.body === "object" && "pull" in request.body) {
          request.body = pausable(request.body, () => sending.delete(message));
          request.body.pause(request.paused);
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
    end() {
      for (const stopping of hashing.values()) stopping.abort();
      for (const given of saving.values()) given.abort().catch(() => {});
      saving.clear();
    },
  };
}
