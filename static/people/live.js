// Keeps parts of a page up to date: `data-live` names the WebSocket that sends them.

const RETRY_MS = 2000;
const LOGGED_OUT = 4401;

function follow(part) {
  const address = new URL(part.dataset.live, location.href);
  address.protocol = "wss:";
  const socket = new WebSocket(address);
  part.setAttribute("aria-busy", "true");
  socket.onmessage = (message) => {
    show(part, message.data);
    part.setAttribute("aria-busy", "false");
  };
  socket.onclose = (event) => {
    if (event.code === LOGGED_OUT) location.reload();
    part.dataset.lost = "";
    setTimeout(() => follow(part), RETRY_MS);
  };
  socket.onopen = () => delete part.dataset.lost;
  // Leaving ends it: the browser would keep a page that one may go back to connected.
  addEventListener("pagehide", () => {
    socket.onclose = null;
    socket.close();
  });
}

// What the person was about to press stays what it was, and so does what they have typed.
function show(part, html) {
  const active = document.activeElement;
  const inside = part.contains(active) && (active.id || active.name);
  const typed = new Map([...part.querySelectorAll("input")].map((one) => [one.name, one.value]));
  part.innerHTML = html;
  for (const input of part.querySelectorAll("input[data-keep]")) {
    if (typed.get(input.name)) input.value = typed.get(input.name);
  }
  if (inside) {
    const again = [...part.querySelectorAll("input, button, a, summary")];
    again.find((one) => (one.id || one.name) === inside)?.focus();
  }
}

document.querySelectorAll("[data-live]").forEach(follow);

// A page that the browser brings back as it was has lost its connections.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
