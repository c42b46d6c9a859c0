// Two clients over the real core and the real relay.

import "./support/browser.mjs";
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after } from "node:test";
import { MsrpClient, MsrpError } from "../../webmsrp.js";
import { event, test } from "./support/cases.mjs";
import { Queue } from "./support/queue.mjs";
import { startServer } from "./support/server.mjs";
import { serveWebSocket } from "./support/websocket-server.mjs";

// The core on this thread leaves timers behind, for which nobody has to wait.
const { setTimeout } = globalThis;
globalThis.setTimeout = (...args) => setTimeout(...args).unref();

const server = await startServer({ after });

/** A connected client of that name, closed with the test. */
async function connect(t, name, options = {}, at = server) {
  const client = await MsrpClient.connect(at.relay, { ...(await at.credentials(name)), ...options });
  t.after(() => client.close());
  return client;
}

/** Two connected sessions, bob's with its messages as they come. */
async function meet(t, { client = {}, alice = {}, bob = {}, at } = {}) {
  const clients = await Promise.all([connect(t, "alice", client, at), connect(t, "bob", client, at)]);
  const [mine, yours] = [clients[0].createSession(alice), clients[1].createSession(bob)];
  const messages = new Queue();
  yours.addEventListener("message", ({ message }) => messages.push(message));
  await yours.setRemoteDescription(await mine.createOffer());
  await mine.setRemoteDescription(await yours.createAnswer());
  return { clients, alice: mine, bob: yours, messages };
}

/** Octets that repeat only after 251, so that a part in the wrong place shows. */
function pattern(size) {
  const octets = new Uint8Array(size);
  for (let i = 0; i < size; i++) octets[i] = i % 251;
  return octets;
}

/** A stream of chunks, or for ever, which tells why it was canceled. */
function stream(chunks) {
  let canceled;
  const reason = new Promise((resolve) => (canceled = resolve));
  const body = new ReadableStream({
    pull(controller) {
      const { value, done } = chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: canceled,
  });
  return { body, reason };
}

function* endless() {
  for (;;) yield pattern(64 << 10);
}

for (const worker of [true, false]) {
  const where = worker ? "in a worker" : "on this thread";
  const large = pattern(3 * (1 << 20) + 5);

  for (const [what, body, type, content] of [
    ["text", "Grüße 👋", "text/plain", Buffer.from("Grüße 👋")],
    ["no text", "", "text/plain", Buffer.alloc(0)],
    ["a Blob", () => new Blob(["<p>"], { type: "text/html" }), "text/html", Buffer.from("<p>")],
    ["an empty Blob", () => new Blob([]), "application/octet-stream", Buffer.alloc(0)],
    ["a large Blob", () => new Blob([large]), "application/octet-stream", large],
    ["a view", () => large.subarray(7, 100_007), "application/octet-stream", large.subarray(7, 100_007)],
    ["an ArrayBuffer", () => pattern(300).buffer, "application/octet-stream", pattern(300)],
    ["a stream", () => stream([pattern(1), pattern(0), pattern(500_000)].values()).body, "application/octet-stream", Buffer.concat([pattern(1), pattern(500_000)])],
    ["an empty stream", () => stream([].values()).body, "application/octet-stream", Buffer.alloc(0)],
  ]) {
    test(`${what} arrives as it was sent (core ${where})`, async (t) => {
      const { alice, messages } = await meet(t, { client: { worker } });
      const sent = alice.send(typeof body === "function" ? body() : body);
      const message = await messages.next();
      assert.equal(message.messageId, sent.messageId);
      assert.equal(message.contentType, type);
      assert.ok(Buffer.from(await message.arrayBuffer()).equals(content));
      await sent.delivered;
      assert.equal(sent.state, "delivered");
      assert.equal(sent.acknowledged, content.length);
      assert.equal(alice.bufferedAmount, 0);
    });
  }

  test(`a file arrives with its name, type and size (core ${where})`, async (t) => {
    const { alice, messages } = await meet(t, { client: { worker } });
    const transfer = alice.sendFile(new File([large], 'Grüße "2".bin', { type: "image/png" }));
    const message = await messages.next();
    assert.equal(message.fileName, "Grüße _2_.bin");
    assert.equal(message.contentType, "image/png");
    assert.equal(message.size, large.length);
    let size = 0;
    for await (const chunk of message.body) size += chunk.length;
    assert.equal(size, large.length);
    await transfer.delivered;
  });

  test(`what is in a wrapper comes out of it, however long (core ${where})`, async (t) => {
    const { alice, messages } = await meet(t, { client: { worker } });
    const wrapper = { from: { name: "Alice", uri: "sip:alice@example.com" }, to: "sip:room@example.com", subject: "Grüße" };
    for (const [body, type, content] of [
      ["Hi 👋", "text/plain;charset=UTF-8", Buffer.from("Hi 👋")],
      [new Blob([large], { type: "image/png" }), "image/png", large],
      [large.subarray(3), "application/octet-stream", large.subarray(3)],
      [stream([pattern(1), pattern(200_000)].values()).body, "application/octet-stream", Buffer.concat([pattern(1), pattern(200_000)])],
    ]) {
      const sent = alice.send(body, { wrapper, disposition: "render" });
      const message = await messages.next();
      assert.equal(message.contentType, type);
      assert.equal(message.disposition, "render");
      assert.deepEqual(message.wrapper.from, wrapper.from);
      assert.equal(message.wrapper.to[0].uri, wrapper.to);
      assert.equal(message.wrapper.subject, wrapper.subject);
      if (!(body instanceof ReadableStream)) assert.equal(message.size, content.length);
      assert.ok(Buffer.from(await message.arrayBuffer()).equals(content));
      await sent.delivered;
    }
  });

  test(`the sender hears that a message arrived and was shown (core ${where})`, async (t) => {
    const { alice, bob, messages } = await meet(t, { client: { worker } });
    const heard = new Queue();
    alice.addEventListener("notification", ({ messageId, disposition, status, recipient }) => heard.push({ messageId, disposition, status, recipient }));
    const recipient = "sip:bob@example.com";
    const [short, long] = ["Hi", new Blob([large])].map((body) => alice.send(body, { wrapper: { to: recipient }, notify: ["delivery", "display"] }));
    const about = ({ messageId }, disposition, status) => ({ messageId, disposition, status, recipient });
    assert.equal(await (await messages.next()).text(), "Hi");
    assert.deepEqual(await heard.next(), about(short, "delivery", "delivered"));
    const message = await messages.next();
    assert.equal(bob.markDisplayed(short.messageId), true);
    assert.deepEqual(await heard.next(), about(short, "display", "displayed"));
    assert.equal(bob.markDisplayed(short.messageId), false, "once");
    await message.arrayBuffer();
    assert.deepEqual(await heard.next(), about(long, "delivery", "delivered"));
    const plain = alice.send("nobody asks");
    await messages.next();
    await plain.delivered;
    assert.equal(bob.markDisplayed(plain.messageId), false);
    assert.equal(heard.length, 0);
    assert.equal(messages.length, 0, "bob was shown no notification");
  });

  test(`it is seen who composes, until the message is there (core ${where})`, async (t) => {
    const { alice, bob, messages } = await meet(t, { client: { worker } });
    const seen = new Queue();
    bob.addEventListener("composing", ({ active, contentType }) => seen.push({ active, contentType }));
    alice.setComposing(true, { contentType: "text/plain" });
    alice.setComposing(true, { contentType: "text/plain" });
    assert.deepEqual(await seen.next(), { active: true, contentType: "text/plain" });
    await alice.send("Hi").delivered;
    assert.equal(await (await messages.next()).text(), "Hi");
    assert.equal((await seen.next()).active, false);
    alice.setComposing(true);
    assert.equal((await seen.next()).active, true);
    alice.setComposing(false);
    assert.equal((await seen.next()).active, false);
    assert.equal(messages.length + seen.length, 0);
  });

  test(`who looks on sees every request and response, and not all of a body (core ${where})`, async (t) => {
    const { alice, bob, messages } = await meet(t, { client: { worker } });
    await alice.send("unseen").delivered;
    await (await messages.next()).text();
    const seen = new Queue();
    bob.addEventListener("trace", () => assert.fail("that is alice's"), { once: true, signal: AbortSignal.abort() });
    alice.addEventListener("trace", (event) => seen.push(event));
    const sent = alice.send("a".repeat(5000));
    await sent.delivered;
    const send = await seen.next();
    assert.deepEqual([send.outgoing, send.method, send.code, send.size], [true, "SEND", null, 5000]);
    assert.match(send.text, new RegExp(`^MSRP ${send.transactionId} SEND\\r\\nTo-Path: [^]*\\r\\nMessage-ID: ${sent.messageId}\\r\\n[^]*\\r\\n\\r\\na{1024}\\r\\n-------${send.transactionId}\\$\\r\\n$`));
    const others = [await seen.next(), await seen.next()].map(({ outgoing, method, code, transactionId }) => ({ outgoing, what: method ?? code, same: transactionId === send.transactionId }));
    others.sort((a) => (a.what === 200 ? -1 : 1));
    assert.deepEqual(others, [
      { outgoing: false, what: 200, same: true },
      { outgoing: false, what: "REPORT", same: false },
    ]);
  });

  test(`a file is offered, taken, and found to be the right one (core ${where})`, async (t) => {
    const clients = await Promise.all([connect(t, "alice", { worker }), connect(t, "bob", { worker })]);
    for (const [content, hash] of [[large, true], [large, false], [pattern(5), true], [new Uint8Array(), true]]) {
      for (const place of ["a Blob", "a stream"]) {
        const [mine, yours] = clients.map((client) => client.createSession());
        const offered = event(yours, "fileoffer");
        yours.addEventListener("fileoffer", () => {});
        yours.addEventListener("message", () => assert.fail("it is no message"));
        const transfer = mine.sendFile(new File([content], 'Grüße "2"/%.bin', { type: "image/png" }), { offer: true, hash });
        const offer = await mine.createOffer();
        await yours.setRemoteDescription(offer);
        const { offer: file } = await offered;
        assert.deepEqual([file.name, file.type, file.size, file.offset], ["%.bin", "image/png", content.length, 0]);
        if (hash) assert.equal(file.hashes["sha-256"], createHash("sha256").update(content).digest("hex").toUpperCase().match(/../g).join(":"));
        else assert.deepEqual(file.hashes, {});
        const pieces = [];
        const taken = file.accept(place === "a Blob" ? undefined : new WritableStream({ write: (piece) => void pieces.push(piece) }));
        await mine.setRemoteDescription(await yours.createAnswer());
        await Promise.all([taken.verified, transfer.verified]);
        assert.deepEqual([taken.state, taken.received, taken.size, taken.blob === null], ["received", content.length, content.length, place !== "a Blob"]);
        const received = taken.blob ? Buffer.from(await taken.blob.arrayBuffer()) : Buffer.concat(pieces);
        assert.ok(received.equals(content));
        if (taken.blob) assert.equal(taken.blob.type, "image/png");
        else assert.ok(pieces.slice(0, -1).every((piece) => piece.length >= 256 << 10), "large pieces");
        assert.throws(() => file.accept(), /answered already/);
        await Promise.all([mine.close(), yours.close()]);
      }
    }
  });

  test(`what is not the file that was offered is found out (core ${where})`, async (t) => {
    const clients = await Promise.all([connect(t, "alice", { worker }), connect(t, "bob", { worker })]);
    for (const [what, from, to, text] of [
      ["another hash", /sha-256:../, "sha-256:00", /SHA-256 differs/],
      ["another hash, by SHA-1 alone", /sha-1:..([^ ]*) hash:sha-256:[^ ]*?(\r)/, "sha-1:00$1$2", /SHA-1 differs/],
      ["a smaller file", /size:3145733/, "size:3145732", /more than the file/],
      ["a larger file", /size:3145733/, "size:3145734", /3145733 octets of 3145734/],
    ]) {
      const [mine, yours] = clients.map((client) => client.createSession());
      let [taken, closed, aborted] = [];
      const stream = new WritableStream({ close: () => void (closed = true), abort: (reason) => void (aborted = reason) });
      yours.addEventListener("fileoffer", ({ offer }) => (taken = offer.accept(stream)));
      mine.sendFile(new File([large], "a.bin"), { offer: true });
      const { type, sdp } = await mine.createOffer();
      assert.match(sdp, from);
      await yours.setRemoteDescription({ type, sdp: sdp.replace(from, to) });
      // What the answer says of it would be found out by alice.
      const answer = await yours.createAnswer();
      const selector = /a=file-selector:.*/;
      await mine.setRemoteDescription({ type: "answer", sdp: answer.sdp.replace(selector, () => selector.exec(sdp)[0]) });
      await assert.rejects(taken.verified, (error) => error instanceof MsrpError && error.kind === "mismatch" && text.test(error.message), what);
      assert.deepEqual([taken.blob, closed, aborted], [null, undefined, taken.error]);
      await Promise.all([mine.close(), yours.close()]);
    }
  });

  test(`a file that is not wanted is not sent (core ${where})`, async (t) => {
    const [mine, yours] = (await Promise.all([connect(t, "alice", { worker }), connect(t, "bob", { worker })])).map((client) => client.createSession());
    yours.addEventListener("fileoffer", ({ offer }) => offer.reject());
    const transfer = mine.sendFile(new File([large], "a.bin"), { offer: true });
    await yours.setRemoteDescription(await mine.createOffer());
    const answer = await yours.createAnswer();
    assert.equal(yours.connectionState, "closed");
    await assert.rejects(mine.setRemoteDescription(answer), { code: 603 });
    await assert.rejects(transfer.verified, MsrpError);
  });

  test(`a file that breaks off goes on where it was (core ${where})`, async (t) => {
    const content = Buffer.from(pattern(18 << 20));
    const clients = await Promise.all([connect(t, "alice", { worker }), connect(t, "bob", { worker })]);
    /** Offers the file, or the rest of it. */
    const agree = async (destination, resume) => {
      const [mine, yours] = clients.map((client) => client.createSession());
      let taken;
      yours.addEventListener("fileoffer", ({ offer }) => (taken = offer.accept(destination)));
      const transfer = mine.sendFile(new File([content], "a.bin"), { offer: true, resume });
      await yours.setRemoteDescription(await mine.createOffer());
      await mine.setRemoteDescription(await yours.createAnswer());
      return { mine, yours, transfer, taken };
    };
    let begun = () => {};
    const some = new Promise((resolve) => (begun = resolve));
    const pieces = [];
    let octets = 0;
    const destination = new WritableStream({
      write(piece) {
        pieces.push(piece);
        octets += piece.length;
        if (octets > 8 << 20) begun();
      },
    });
    const first = await agree(destination);
    await some;
    first.transfer.pause();
    await first.mine.close();
    await assert.rejects(first.taken.verified, MsrpError);
    assert.equal(first.taken.state, "failed");
    const { received } = first.taken;
    assert.ok(received > 8 << 20 && received < content.length, `${received} octets are here`);
    const second = await agree(first.taken, first.transfer);
    assert.equal(second.taken, first.taken);
    assert.ok(second.transfer.offset > 1 << 20 && second.transfer.offset <= received, `${second.transfer.offset} octets are not sent again`);
    await Promise.all([second.taken.verified, second.transfer.verified]);
    assert.ok(Buffer.concat(pieces).equals(content));
  });

  test(`a file is asked for, found, and sent (core ${where})`, async (t) => {
    const clients = await Promise.all([connect(t, "alice", { worker }), connect(t, "bob", { worker })]);
    const sum = (algorithm, content) => createHash(algorithm).update(content).digest("hex").toUpperCase().match(/../g).join(":");
    const hashes = { "sha-1": sum("sha1", large), "sha-256": sum("sha256", large) };
    for (const [wanted, content, options] of [
      [{ name: 'a "b".bin' }, large, {}],
      [{ hashes }, large, {}],
      [{ hashes: { "sha-1": hashes["sha-1"] } }, large, {}],
      [{ type: "image/png", size: 5 }, pattern(5), { hash: false }],
      [{ type: "image/*" }, new Uint8Array(), {}],
    ]) {
      const [mine, yours] = clients.map((client) => client.createSession());
      yours.addEventListener("message", () => assert.fail("it is no message"));
      const file = yours.receiveFile(wanted);
      const requested = event(mine, "filerequest");
      await mine.setRemoteDescription(await yours.createOffer());
      const { request } = await requested;
      assert.deepEqual([request.name, request.type, request.size, request.hashes, request.offset], [wanted.name ?? null, wanted.type ?? "", wanted.size ?? null, wanted.hashes ?? {}, 0]);
      const transfer = request.send(new File([content], 'a "b".bin', { type: "image/png" }), options);
      await yours.setRemoteDescription(await mine.createAnswer());
      await Promise.all([file.verified, transfer.verified]);
      assert.deepEqual([file.name, file.size, file.received], ["a _b_.bin", content.length, content.length]);
      if (!wanted.type) assert.equal(file.type, "image/png");
      assert.ok(Buffer.from(await file.blob.arrayBuffer()).equals(content));
      assert.throws(() => request.reject(), /answered already/);
      assert.throws(() => yours.receiveFile(wanted), TypeError);
      await Promise.all([mine.close(), yours.close()]);
    }
  });

  test(`what is sent is the file that was asked for (core ${where})`, async (t) => {
    const clients = await Promise.all([connect(t, "alice", { worker }), connect(t, "bob", { worker })]);
    const asked = async (wanted, decide) => {
      const [mine, yours] = clients.map((client) => client.createSession());
      const file = yours.receiveFile(wanted);
      mine.addEventListener("filerequest", ({ request }) => decide(request));
      await mine.setRemoteDescription(await yours.createOffer());
      return { mine, yours, file };
    };
    const other = new File([large], "b.bin");
    for (const wanted of [{ name: "a.bin" }, { name: "b.bin", size: 5 }, { hashes: { "sha-1": Array(20).fill("00").join(":") } }]) {
      const { mine, yours, file } = await asked(wanted, (request) => request.send(other));
      await assert.rejects(mine.createAnswer(), /not the one that this side has/);
      await yours.close();
      await assert.rejects(file.verified, { kind: "closed" });
    }
    const { mine, yours, file } = await asked({ name: "b.bin" }, (request) => request.reject());
    await assert.rejects(yours.setRemoteDescription(await mine.createAnswer()), { code: 603 });
    await assert.rejects(file.verified, { code: 603 });
    assert.deepEqual([mine.connectionState, yours.connectionState], ["closed", "failed"]);
    const [nobody, asks] = clients.map((client) => client.createSession());
    asks.receiveFile({ name: "b.bin" });
    await nobody.setRemoteDescription(await asks.createOffer());
    await assert.rejects(nobody.createAnswer(), /not the one that this side has/);
    // Where the answer names a hash, what comes is compared to it.
    const changed = await asked({ name: "b.bin" }, (request) => request.send(other));
    const { type, sdp } = await changed.mine.createAnswer();
    await changed.yours.setRemoteDescription({ type, sdp: sdp.replace(/sha-256:../, "sha-256:00") });
    await assert.rejects(changed.file.verified, { kind: "mismatch" });
  });

  test(`the rest of a file is asked for from where it broke off (core ${where})`, async (t) => {
    const content = new File([pattern(12 << 20)], "a.bin");
    const clients = await Promise.all([connect(t, "alice", { worker }), connect(t, "bob", { worker })]);
    const [mine, yours] = clients.map((client) => client.createSession());
    const pieces = [];
    const file = yours.receiveFile({ name: "a.bin" }, new WritableStream({ write: (piece) => void pieces.push(piece) }));
    let transfer;
    mine.addEventListener("filerequest", ({ request }) => (transfer = request.send(content)));
    await mine.setRemoteDescription(await yours.createOffer());
    await yours.setRemoteDescription(await mine.createAnswer());
    while (file.received < 6 << 20) await event(file, "progress");
    await Promise.all([mine.close(), yours.close()]);
    await assert.rejects(file.verified, MsrpError);
    assert.ok(file.received < content.size);

    const [again, once] = clients.map((client) => client.createSession());
    assert.equal(once.receiveFile(file), file);
    assert.equal(file.state, "waiting");
    again.addEventListener("filerequest", ({ request }) => (transfer = request.send(content, { resume: transfer })));
    const { received } = file;
    await again.setRemoteDescription(await once.createOffer());
    await once.setRemoteDescription(await again.createAnswer());
    await Promise.all([file.verified, transfer.verified]);
    assert.equal(transfer.offset, received);
    assert.ok(Buffer.concat(pieces).equals(Buffer.from(await content.arrayBuffer())));
  });

  test(`a file that was asked for in vain comes by an offer (core ${where})`, async (t) => {
    const clients = await Promise.all([connect(t, "alice", { worker }), connect(t, "bob", { worker })]);
    const asking = clients[1].createSession();
    const file = asking.receiveFile({ name: "a.bin" });
    await asking.createOffer();
    await asking.close();
    await assert.rejects(file.verified, { kind: "closed" });
    const [mine, yours] = clients.map((client) => client.createSession());
    yours.addEventListener("fileoffer", ({ offer }) => offer.accept(file));
    mine.sendFile(new File([large], "a.bin"), { offer: true });
    await yours.setRemoteDescription(await mine.createOffer());
    await mine.setRemoteDescription(await yours.createAnswer());
    await file.verified;
    assert.ok(Buffer.from(await file.blob.arrayBuffer()).equals(large));
  });

  test(`a file that was given up before it is asked for is not asked for (core ${where})`, async (t) => {
    const client = await connect(t, "bob", { worker });
    const session = client.createSession();
    assert.throws(() => session.receiveFile({}), TypeError);
    assert.throws(() => session.receiveFile({ name: "a" }, undefined, { offset: 5 }), TypeError);
    const gone = new Error("enough");
    assert.throws(() => session.receiveFile({ name: "a" }, undefined, { signal: AbortSignal.abort(gone) }), gone);
    const file = session.receiveFile({ name: "a" });
    file.abort(gone);
    await assert.rejects(file.verified, gone);
    await assert.rejects(session.createOffer(), gone);
  });

  test(`a message is saved, paused, given up (core ${where})`, async (t) => {
    const { alice, messages } = await meet(t, { client: { worker } });
    for (const content of [pattern(100), large]) {
      alice.sendFile(new File([content], "a.bin", { type: "image/png" }));
      const file = (await messages.next()).save();
      await file.verified;
      assert.deepEqual([file.name, file.type, file.size], ["a.bin", "image/png", content.length]);
      assert.ok(Buffer.from(await file.blob.arrayBuffer()).equals(content));
    }
    const transfer = alice.sendFile(new Blob([pattern(8 << 20)]));
    const message = await messages.next();
    const file = message.save(new WritableStream({ write: () => void transfer.pause() }));
    while (transfer.acknowledged < 512 << 10) await event(transfer, "progress");
    await alice.send("in between").delivered;
    assert.equal(await (await messages.next()).text(), "in between");
    assert.equal(transfer.state, "sending");
    transfer.resume();
    await event(file, "progress");
    await assert.rejects(message.text(), TypeError);
    const reason = new Error("enough");
    file.abort(reason);
    await assert.rejects(file.verified, reason);
    transfer.resume();
    await assert.rejects(transfer.delivered, { code: 413 });
  });

  test(`where a file cannot be written says so (core ${where})`, async (t) => {
    const { alice, messages } = await meet(t, { client: { worker } });
    const transfer = alice.sendFile(new Blob([large]));
    const file = (await messages.next()).save(
      new WritableStream({
        write() {
          throw new Error("the disk is on fire");
        },
      }),
    );
    await assert.rejects(file.verified, (error) => error instanceof MsrpError && error.kind === "storage" && /disk is on fire/.test(error.message));
    await assert.rejects(transfer.delivered, { code: 413 });
  });

  test(`a stream that a file goes to ends as the file does (core ${where})`, async (t) => {
    const { clients, alice, messages } = await meet(t, { client: { worker } });
    const full = new DOMException("full", "QuotaExceededError");
    for (const [what, end, outcome] of [
      ["abort", ({ file }) => file.abort("enough"), (error) => error === "enough"],
      ["a signal", ({ stopping }) => stopping.abort("enough"), (error) => error === "enough"],
      ["no room", undefined, ({ kind, message }) => kind === "storage" && /no room/.test(message)],
      ["the end of all clients", () => clients.forEach((client) => client.close()), (error) => error.kind === "closed"],
    ]) {
      const transfer = alice.sendFile(new Blob([pattern(8 << 20)]));
      const message = await messages.next();
      let [begun, abort] = [];
      const some = new Promise((resolve) => (begun = resolve));
      const aborted = new Promise((resolve) => (abort = resolve));
      const stream = new WritableStream({
        write() {
          begun();
          if (!end) throw full;
        },
        abort,
      });
      const stopping = new AbortController();
      const file = message.save(stream, { signal: stopping.signal });
      await some;
      end?.({ file, stopping });
      const error = await file.verified.catch((error) => error);
      assert.ok(outcome(error), `${what}: ${error}`);
      assert.deepEqual([file.state, file.error], ["failed", error]);
      if (end) assert.ok(outcome(await aborted), what);
      await assert.rejects(transfer.delivered, what === "the end of all clients" ? { kind: "closed" } : { code: 413 });
    }
  });

  test(`a message that cannot be saved there can be read (core ${where})`, async (t) => {
    const { alice, messages } = await meet(t, { client: { worker } });
    alice.send("Hi");
    const message = await messages.next();
    assert.throws(() => message.save("a.txt"), TypeError);
    assert.throws(() => message.save(undefined, { signal: AbortSignal.abort() }), { name: "AbortError" });
    assert.equal(await message.text(), "Hi");
    assert.throws(() => message.save(), /read already/);
  });

  test(`a file that is not all saved is not told of as delivered (core ${where})`, async (t) => {
    const { alice, messages } = await meet(t, { client: { worker } });
    const heard = new Queue();
    alice.addEventListener("notification", ({ messageId }) => heard.push(messageId));
    const broken = new WritableStream({ start: (controller) => controller.error(new Error("broken")) });
    for (const destination of [broken, undefined]) {
      const sent = alice.send(new Blob([large]), { wrapper: {}, notify: ["delivery"], successReport: false });
      const file = (await messages.next()).save(destination);
      if (destination) await assert.rejects(file.verified, { kind: "storage" });
      else assert.equal(await heard.next(), sent.messageId);
    }
  });

  test(`a file that is paused ends with its session (core ${where})`, async (t) => {
    const { clients, alice, bob, messages } = await meet(t, { client: { worker } });
    alice.send(stream(endless()).body);
    const saved = (await messages.next()).save();
    await event(saved, "progress");
    saved.pause();
    const [mine, yours] = clients.map((client) => client.createSession());
    let taken;
    yours.addEventListener("fileoffer", ({ offer }) => (taken = offer.accept()));
    mine.sendFile(new Blob([large]), { offer: true }).pause();
    await yours.setRemoteDescription(await mine.createOffer());
    await mine.setRemoteDescription(await yours.createAnswer());
    taken.pause();
    await Promise.all([bob.close(), yours.close()]);
    for (const file of [saved, taken]) await assert.rejects(file.verified, { kind: "closed" });
  });

  test(`who has paused before the beginning sends nothing (core ${where})`, async (t) => {
    const clients = await Promise.all([connect(t, "alice", { worker }), connect(t, "bob", { worker })]);
    const [mine, yours] = clients.map((client) => client.createSession());
    const messages = new Queue();
    yours.addEventListener("message", ({ message }) => messages.push(message));
    const transfer = mine.sendFile(new Blob([large]));
    transfer.pause();
    await yours.setRemoteDescription(await mine.createOffer());
    await mine.setRemoteDescription(await yours.createAnswer());
    await mine.send("in between").delivered;
    assert.deepEqual([transfer.acknowledged, await (await messages.next()).text()], [0, "in between"]);
    transfer.resume();
    assert.ok(Buffer.from(await (await messages.next()).arrayBuffer()).equals(large));
    await transfer.delivered;
  });

  test(`a file that was given up before it is offered is not offered (core ${where})`, async (t) => {
    const client = await connect(t, "alice", { worker });
    let read = 0;
    class Endless extends Blob {
      get size() {
        return 2 ** 40;
      }
      slice() {
        return this;
      }
      stream() {
        return new ReadableStream({
          async pull(controller) {
            await new Promise((resolve) => setImmediate(resolve));
            if (read >= 0) controller.enqueue(new Uint8Array(1 << 16));
          },
          cancel: () => void (read = -1),
        });
      }
    }
    const session = client.createSession();
    const stopping = new AbortController();
    const file = worker ? new Blob([large]) : new Endless();
    const transfer = session.sendFile(file, { offer: true, signal: stopping.signal });
    const offering = session.createOffer();
    const gone = new Error("enough");
    setImmediate(() => stopping.abort(gone));
    await assert.rejects(offering, gone);
    await assert.rejects(transfer.verified, gone);
    if (!worker) while (read !== -1) await new Promise((resolve) => setImmediate(resolve));
    await assert.rejects(session.createOffer(), gone);
  });

  test(`who is no room has no nicknames to give (core ${where})`, async (t) => {
    const { alice } = await meet(t, { client: { worker } });
    await assert.rejects(alice.setNickname("Alice"), /no chat room/);
  });

  test(`who stops reading stops the sender (core ${where})`, async (t) => {
    const { alice, messages } = await meet(t, { client: { worker } });
    const { body, reason } = stream(endless());
    const sending = alice.send(body);
    const reader = (await messages.next()).body.getReader();
    assert.ok((await reader.read()).value.length > 0);
    await reader.cancel();
    await assert.rejects(sending.sent, (error) => error instanceof MsrpError && error.code === 413 && error.messageId === sending.messageId);
    await reason;
    const next = alice.send("still there");
    assert.equal(await (await messages.next()).text(), "still there");
    await next.delivered;
  });

  test(`who stops sending stops the reader (core ${where})`, async (t) => {
    const { alice, messages } = await meet(t, { client: { worker } });
    const { body, reason } = stream(endless());
    const controller = new AbortController();
    const sending = alice.send(body, { signal: controller.signal });
    const reader = (await messages.next()).body.getReader();
    await reader.read();
    const why = new Error("the page was left");
    controller.abort(why);
    await assert.rejects(sending.sent, (error) => error === why);
    assert.equal(await reason, why);
    await assert.rejects(
      async () => {
        while (!(await reader.read()).done);
      },
      (error) => error instanceof MsrpError && error.kind === "aborted",
    );
  });

  test(`a connection that is lost ends everything on it (core ${where})`, async (t) => {
    const at = await startServer(t);
    const { clients, alice, bob } = await meet(t, { client: { worker, reconnect: false }, at });
    const { body, reason } = stream(endless());
    const sending = alice.send(body);
    const { message } = await event(bob, "message");
    const reading = assert.rejects(message.blob(), (error) => error instanceof MsrpError && error.kind === "lost");
    await at.crash();
    for (const client of clients) assert.equal((await client.closed).kind, "lost");
    for (const session of [alice, bob]) {
      assert.equal((await session.closed).kind, "lost");
      assert.equal(session.connectionState, "failed");
    }
    await assert.rejects(sending.delivered, { kind: "lost" });
    await reason;
    await reading;
  });
}

test("many messages keep their order, in both directions at once", async (t) => {
  const { alice, bob, messages } = await meet(t);
  const back = new Queue();
  alice.addEventListener("message", ({ message }) => back.push(message));
  const numbers = Array.from({ length: 100 }, (_, i) => String(i));
  const sent = numbers.flatMap((text) => [alice.send(text), bob.send(text)]);
  for (const queue of [messages, back]) {
    const got = [];
    for (const _ of numbers) got.push(await (await queue.next()).text());
    assert.deepEqual(got, numbers);
  }
  await Promise.all(sent.map((message) => message.delivered));
});

test("what is sent before the answer arrives after it", async (t) => {
  const clients = [await connect(t, "alice"), await connect(t, "bob")];
  const [alice, bob] = clients.map((client) => client.createSession());
  const early = alice.send("early");
  const offer = await alice.createOffer();
  const offered = alice.send("offered");
  const texts = new Queue();
  bob.addEventListener("message", async ({ message }) => texts.push(await message.text()));
  await bob.setRemoteDescription(offer);
  await alice.setRemoteDescription(await bob.createAnswer());
  assert.deepEqual([await texts.next(), await texts.next()], ["early", "offered"]);
  await Promise.all([early.delivered, offered.delivered]);
  assert.equal(alice.connectionState, "connected");
});

test("the answer may be given to a session before its owner asks for messages", async (t) => {
  const { alice, messages } = await meet(t, { alice: { direct: false }, bob: { direct: false } });
  const sent = alice.send("through the relay all the way");
  assert.equal(await (await messages.next()).text(), "through the relay all the way");
  await sent.delivered;
});

test("what the peer does not take is not sent, and its stream ends", async (t) => {
  const { alice, messages } = await meet(t, { bob: { acceptTypes: ["text/plain"], maxSize: 10 } });
  const { body, reason } = stream(endless());
  const picture = alice.send(body, { contentType: "image/png" });
  await assert.rejects(picture.sent, { kind: "type" });
  await reason;
  await assert.rejects(alice.send("more than ten octets").sent, { kind: "size" });
  alice.send("ten octets");
  assert.equal(await (await messages.next()).text(), "ten octets");
});

test("a stream that fails fails its message, for both sides", async (t) => {
  const { alice, messages } = await meet(t);
  function* failing() {
    for (let i = 0; i < 40; i++) yield pattern(64 << 10);
    throw new RangeError("the camera is gone");
  }
  const sending = alice.send(stream(failing()).body);
  const reading = (await messages.next()).blob();
  await assert.rejects(sending.delivered, /the camera is gone\.$/);
  await assert.rejects(reading, { kind: "aborted" });
});

test("without a success report a message is sent, and stays so", async (t) => {
  const { alice, messages } = await meet(t);
  const sent = alice.send("x", { successReport: false });
  await sent.sent;
  await messages.next();
  await alice.close();
  assert.equal(sent.state, "sent");
});

test("the peer's end shows with the next message", async (t) => {
  const { alice, bob } = await meet(t);
  await alice.send("x").delivered;
  await bob.close();
  assert.equal(await bob.closed, undefined);
  await assert.rejects(alice.send("y").delivered, { code: 481 });
  assert.equal((await alice.closed).code, 481);
  assert.equal(alice.connectionState, "failed");
});

test("a session in use answers a probe, one that is over does not", async (t) => {
  const { alice } = await meet(t);
  await alice.probe();
  await alice.close();
  await assert.rejects(alice.probe(), { kind: "closed" });
});

test("sessions of one client go their own ways", async (t) => {
  const { clients, alice, bob } = await meet(t);
  const [mine, yours] = clients.map((client) => client.createSession());
  await yours.setRemoteDescription(await mine.createOffer());
  await mine.setRemoteDescription(await yours.createAnswer());
  await Promise.all([alice.close(), bob.close()]);
  const arriving = event(yours, "message");
  await mine.send("second").delivered;
  assert.equal(await (await arriving).message.text(), "second");
});

test("credentials are asked for until they are right", async (t) => {
  const right = await server.credentials("alice");
  await assert.rejects(MsrpClient.connect(server.relay, { ...right, password: "wrong" }), (error) => error instanceof MsrpError && error.code === 401);
  const client = await MsrpClient.connect(server.relay, { credentials: async () => right });
  t.after(() => client.close());
  assert.match((await client.createSession().createOffer()).sdp, /^v=0\r\n/);
});

test("a description that cannot be read says so", async (t) => {
  const client = await connect(t, "alice");
  const session = client.createSession();
  await session.setRemoteDescription({ type: "offer", sdp: "nonsense" });
  await assert.rejects(session.createAnswer(), (error) => error instanceof MsrpError && /^[A-Z]/.test(error.message));
  const caller = client.createSession();
  await caller.createOffer();
  await assert.rejects(caller.setRemoteDescription({ type: "answer", sdp: "nonsense" }), MsrpError);
});

test("who is no relay is told from a relay", async (t) => {
  for (const url of [server.page, server.rendezvous, "ws://127.0.0.1:1/"]) {
    await assert.rejects(MsrpClient.connect(url), (error) => error instanceof MsrpError && error.kind === "failed" && error.message.includes(new URL(url).host));
  }
});

test("connecting can be given up while the relay is silent", async (t) => {
  const silent = await serveWebSocket(t);
  const controller = new AbortController();
  const connecting = MsrpClient.connect(silent.url, { username: "alice", password: "secret", signal: controller.signal });
  connecting.catch(() => {});
  const there = await silent.accept();
  assert.equal(there.protocol, "msrp");
  controller.abort();
  await assert.rejects(connecting, { name: "AbortError" });
  await there.closed;
});
