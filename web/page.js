// The demo page: an ordinary user of the widget.

import "./widget.js";

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @returns {T}
 */
const element = (id) => /** @type {T} */ (document.getElementById(id));

const welcome = element("welcome");
const talk = element("talk");
const me = element("me");
const leave = element("leave");
const login = element("login");
const join = /** @type {HTMLFormElement} */ (element("join"));
const call = /** @type {HTMLFormElement} */ (element("call"));
const chat = /** @type {import("./widget.js").MsrpChatElement} */ (element("chat"));

/** @param {string} field */
const input = (field) => /** @type {HTMLInputElement} */ (join.elements.namedItem(field));

// Where to find what, for those who try the page against another relay:
// ?url=wss://relay.example.com/msrp&signalling=…&name=…&peer=…
const query = new URLSearchParams(location.search);
const relay = new URL(query.get("url") ?? "/msrp", location.href);
relay.protocol = relay.protocol.replace("http", "ws");

/** Whether the server gives credentials to its own page, as serve --dev does. */
const demo = "demo" in document.documentElement.dataset;
login.hidden = demo;

input("name").value = query.get("name") ?? sessionStorage.getItem("name") ?? "";

join.addEventListener("submit", (event) => {
  event.preventDefault();
  const name = input("name").value.trim();
  if (!name) return;
  sessionStorage.setItem("name", name);
  chat.credentialsUrl = demo ? "/credentials" : "";
  chat.username = input("username").value.trim() || name;
  chat.password = input("password").value;
  chat.signalling = query.get("signalling") ?? "";
  chat.name = name;
  chat.url = relay.href;
  me.textContent = name;
  me.hidden = leave.hidden = talk.hidden = false;
  welcome.hidden = true;
  const peer = /** @type {HTMLInputElement} */ (call.elements.namedItem("peer"));
  peer.value = query.get("peer") ?? peer.value;
  peer.focus();
});

leave.addEventListener("click", () => {
  chat.url = "";
  me.hidden = leave.hidden = talk.hidden = true;
  welcome.hidden = false;
  input("name").focus();
});

call.addEventListener("submit", (event) => {
  event.preventDefault();
  chat.call(/** @type {HTMLInputElement} */ (call.elements.namedItem("peer")).value);
});

element("echo").addEventListener("click", () => chat.call("echo"));

chat.addEventListener("statuschange", (event) => {
  const { status } = /** @type {CustomEvent} */ (event).detail;
  document.body.dataset.status = status;
});

if (query.get("name")) join.requestSubmit();
else input("name").focus();
