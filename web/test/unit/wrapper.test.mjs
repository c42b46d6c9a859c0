import assert from "node:assert/strict";
import { formatWrapper, unwrap } from "../../cpim.js";
import { test } from "./support/cases.mjs";

/** A message that arrived, opened. */
const open = (text, contentType = "message/cpim") => {
  const data = new TextEncoder().encode(text);
  return unwrap({ contentType, data, size: data.length });
};
const content = ({ data }) => new TextDecoder().decode(data);

const letter = `From: MR SANDERS <im:piglet@100akerwood.com>
To: Depressed Donkey <im:eeyore@100akerwood.com>
DateTime: 2000-12-13T13:40:00-08:00
Subject: the weather will be fine today
Subject:;lang=fr beau temps prevu pour aujourd'hui
NS: MyFeatures <mid:MessageFeatures@id.foo.com>
Require: From
MyFeatures.WackyMessageOption: Use-silly-font

Content-type: text/xml; charset=utf-8
Content-ID: <1234567890@foo.com>

<body>Here is the text.</body>`;

test("the example of RFC 3862", () => {
  for (const text of [letter, letter.replaceAll("\n", "\r\n"), `Content-type: Message/CPIM\n\n${letter}`]) {
    const message = open(text);
    assert.equal(content(message), "<body>Here is the text.</body>");
    assert.equal(message.size, 30);
    assert.equal(message.contentType, "text/xml; charset=utf-8");
    const { wrapper } = message;
    assert.deepEqual(wrapper.from, { name: "MR SANDERS", uri: "im:piglet@100akerwood.com" });
    assert.deepEqual(wrapper.to, [{ name: "Depressed Donkey", uri: "im:eeyore@100akerwood.com" }]);
    assert.deepEqual(wrapper.cc, []);
    assert.equal(wrapper.dateTime.toISOString(), "2000-12-13T21:40:00.000Z");
    assert.equal(wrapper.subject, "the weather will be fine today");
    assert.deepEqual(wrapper.headers.at(-1), { namespace: "mid:MessageFeatures@id.foo.com", name: "WackyMessageOption", value: "Use-silly-font" });
  }
});

test("without the blank line, as RFC 5438 prints it", () => {
  const message = open("From: <im:a@b>\r\nTo: <im:b@b>\r\nContent-type: text/plain\r\nContent-Disposition: render\r\n\r\nHi");
  assert.equal(content(message), "Hi");
  assert.equal(message.disposition, "render");
});

test("a namespace can be declared anew, and become the default", () => {
  const { wrapper } = open("From: <im:a@b>\nTo: <im:b@b>\nNS: x <urn:1>\nx.A: 1\nNS: x <urn:2>\nx.A: 2\nNS: <urn:3>\nA: 3\nSubject: 4\ny.A: 5\n\nContent-Type: text/plain\n\n");
  assert.deepEqual(wrapper.headers.slice(2), [
    { namespace: "urn:1", name: "A", value: "1" },
    { namespace: "urn:2", name: "A", value: "2" },
    { namespace: "urn:3", name: "A", value: "3" },
    { namespace: "urn:3", name: "Subject", value: "4" },
  ]);
  assert.equal(wrapper.subject, "");
});

test("what is no whole wrapper stays as it is", () => {
  for (const [why, text] of [
    ["no sender", letter.replace(/From.*\n/, "")],
    ["two senders", letter.replace("To", "From")],
    ["a sender without URI", letter.replace(/<im:piglet.*>/, "")],
    ["something is required that nobody knows", letter.replace("Require: From", "Require: MyFeatures.WackyMessageOption")],
    ["something is required of a namespace that is not declared", letter.replace("Require: From", "Require: Other.To")],
    ["no type", letter.replace(/Content-type.*\n/, "")],
    ["two types", letter.replace("Content-ID", "Content-Type")],
    ["a line that is no header", letter.replace("Subject: ", "Subject ")],
    ["a control character", letter.replace("weather", "weather\u0001")],
    ["it ends early", letter.slice(0, 200)],
    ["too many lines", `${"a: b\n".repeat(64)}${letter}`],
    ["too long", `a: ${"b".repeat(64 << 10)}\n${letter}`],
    ["nothing", ""],
  ]) {
    const message = open(text);
    assert.equal(message.wrapper, undefined, why);
    assert.equal(content(message), text, why);
  }
  assert.equal(open(letter, "text/plain").wrapper, undefined);
});

test("hostile wrappers cost no more than their length", () => {
  const n = 60 << 10;
  for (const value of ["a ".repeat(n / 2), `"${'\\"'.repeat(n / 2)}`, `a${" ".repeat(n)}b`, "<".repeat(n), `${";a".repeat(n / 2)}"`, `;${'"'.repeat(n)}`, "\\".repeat(n)]) {
    for (const name of ["From", "NS", "X", "Require"]) {
      const began = performance.now();
      open(`${name}:${value}\n${letter}`);
      assert.ok(performance.now() - began < 2000, `${name}:${value.slice(0, 20)} takes too long`);
    }
  }
});

test("what is written comes back", () => {
  const name = 'Alice "\\ 👋\n\u0001';
  const dateTime = new Date("2026-05-15T15:02:31.000Z");
  const head = formatWrapper({ from: { name, uri: "sip:alice@example.com" }, to: ["sip:bob@example.com", { name: "Carol", uri: "sip:carol@example.com" }], cc: "sip:dave@example.com", subject: "a\\b\nc", dateTime }, "text/plain;charset=UTF-8", { disposition: "render" });
  const message = open(`${head}Grüße`);
  assert.equal(content(message), "Grüße");
  assert.equal(message.contentType, "text/plain;charset=UTF-8");
  assert.equal(message.disposition, "render");
  assert.deepEqual({ ...message.wrapper, headers: undefined }, {
    from: { name, uri: "sip:alice@example.com" },
    to: [{ name: "", uri: "sip:bob@example.com" }, { name: "Carol", uri: "sip:carol@example.com" }],
    cc: [{ name: "", uri: "sip:dave@example.com" }],
    dateTime,
    subject: "a\\b\nc",
    headers: undefined,
  });
  assert.equal(open(`${formatWrapper({}, "text/plain")}x`).wrapper.from.uri, "sip:anonymous@anonymous.invalid");
});

test("what would break the lines is refused", () => {
  for (const uri of ["", "a b", "a>b", 'a"b', "a\nb"]) assert.throws(() => formatWrapper({ from: uri }, "text/plain"), TypeError, uri);
  assert.throws(() => formatWrapper({}, "text/plain\r\nX: y"), TypeError);
});
