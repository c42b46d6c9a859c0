// The files of the package, copied beside this one: cp -r …/webmsrp/dist webmsrp
import { MsrpClient } from "./webmsrp/webmsrp.js";
import { Rendezvous } from "./webmsrp/signalling/rendezvous.js";

const [call, say, log] = ["call", "say", "log"].map((id) => document.getElementById(id));

function show(text) {
  log.append(Object.assign(document.createElement("li"), { textContent: text }));
}

call.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { relay, name, username, password, peer } = Object.fromEntries(new FormData(call));
  try {
    const client = await MsrpClient.connect(relay, { username, password });
    const session = client.createSession();
    session.addEventListener("message", async ({ message }) => show(`${peer}: ${await message.text()}`));
    session.closed.then((error) => show(error ? error.message : "The conversation is over."));

    const rendezvous = await Rendezvous.connect(new URL("rendezvous", relay), { name, username, password });
    const offer = await session.createOffer();
    const { call: made, answer } = await rendezvous.call(peer, offer.sdp);
    await session.setRemoteDescription({ type: "answer", sdp: answer });
    made.keep(session); // goes on after a lost connection

    call.hidden = true;
    say.hidden = false;
    say.addEventListener("submit", async (event) => {
      event.preventDefault();
      const text = say.elements.text.value;
      say.reset();
      try {
        await session.send(text).delivered;
        show(`${name}: ${text}`);
      } catch (error) {
        show(error.message);
      }
    });
  } catch (error) {
    show(error.message);
  }
});
