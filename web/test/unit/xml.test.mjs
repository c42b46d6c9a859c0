import assert from "node:assert/strict";
import { escapeXML, parseXML, textOf } from "../../xml.js";
import { test } from "./support/cases.mjs";

test("elements, their namespaces and their text", () => {
  const root = parseXML(`\ufeff<?xml version="1.0"?>\n<!-- <a> --><a xmlns="urn:a" xmlns:b='urn:b' id="x>y">
    <b:c> one <d/>&lt;&#38;&#x1F600; <![CDATA[<two>]]></b:c><c xmlns="">three</c><e/></a>\n`);
  assert.deepEqual([root.space, root.name], ["urn:a", "a"]);
  assert.deepEqual(root.children.map(({ space, name, text }) => [space, name, text.trim()]), [["urn:b", "c", "one <&😀 <two>"], ["", "c", "three"], ["urn:a", "e", ""]]);
  assert.equal(textOf(root, "c"), "", "neither is of the namespace of a");
  assert.equal(textOf(parseXML("<a><b> x </b></a>"), "b"), "x");
  assert.throws(() => textOf(parseXML("<a><b/><b/></a>"), "b"), /b occurs twice/);
});

test("what is not well-formed, and what a DTD could blow up, is refused", () => {
  for (const document of ["", " ", "text", "<a", "<a>", "</a>", "<a></b>", "<a/><b/>", "<a/>x", "<a>&b;</a>", "<a>&amp</a>", "<a>&#x110000;</a>", "<a>&#0;</a>", "<a>&constructor;</a>", "<a b='></a>", "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", "<a><!-- </a>"]) {
    assert.throws(() => parseXML(document), SyntaxError, document);
  }
});

test("hostile documents cost no more than their length", () => {
  const n = 64 << 10;
  for (const document of ["<".repeat(n), "<a".repeat(n / 2), `<${"a".repeat(n)}`, `<a ${"b=' ".repeat(n / 4)}`, "<a>".repeat(n / 3), `<a>${"&".repeat(n)}</a>`, `<a ${" ".repeat(n)}`, `<a ${" xmlns:".repeat(n / 8)}`]) {
    const began = performance.now();
    assert.throws(() => parseXML(document), SyntaxError);
    assert.ok(performance.now() - began < 2000, `${document.slice(0, 20)} takes too long`);
  }
});

test("any text comes back as it was, but for what XML has not", () => {
  for (const text of ["", `<a href="b">&amp;</a>`, "Grüße 👋🏽\n\t", "]]>"]) {
    assert.equal(parseXML(`<a>${escapeXML(text)}</a>`).text, text);
  }
  assert.equal(escapeXML("\u0000\ud800x\uffff"), "\ufffd\ufffdx\ufffd");
});
