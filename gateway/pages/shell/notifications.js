// Notifications in the lower part of the window. Screen readers announce errors at once (role=alert)
// and other notifications when the user pauses (role=status).

import { element } from "./elements.js";

// The first notification splits the window: the page scrolls in the upper part. Keep what the user
// sees, and the focused element in view.
function keepPlace(change) {
  const scroller = document.querySelector(".scroller");
  const top = scroller.scrollTop || scrollY;
  const focused = document.activeElement;
  const bottom = focused.getBoundingClientRect().bottom;
  const seen = scroller.contains(focused) && bottom > 0 && bottom <= innerHeight;
  change();
  document.body.classList.toggle("split", document.querySelector(".notification") !== null);
  scroller.scrollTop = top; // without effect while the window is not split
  scrollTo(0, top); // without effect while the window is split
  if (seen) focused.scrollIntoView({ block: "nearest" });
}

const SHOWN_MS = 10_000;
const NEXT_PAGE = "lookstream.notification";

const region = (kind) => document.querySelector(kind === "error" ? "#alerts" : "#notices");
const withKey = (key) => [...document.querySelectorAll(".notification")]
  .find((each) => each.dataset.key === key);

// Show `text`. Kinds: "info" and "error" stay until the user dismisses them, "success" disappears
// after ten seconds. A notification with the same key replaces the earlier one.
export function notify(text, { kind = "info", key = text } = {}) {
  const earlier = withKey(key);
  if (earlier?.firstChild.textContent === text) return;
  const button = element("button", {
    type: "button", class: "plain", text: "Dismiss", "aria-label": `Dismiss: ${text}` });
  const shown = element("div", {
    class: `notification ${kind}`, "data-key": key, children: [element("p", { text }), button] });
  button.addEventListener("click", () => dismiss(key));
  keepPlace(() => { earlier?.remove(); region(kind).append(shown); });
  if (kind === "success") removeLater(shown);
}

// Remove the notification with this key, if there is one. A focus inside moves to the next one.
export function dismiss(key) {
  const shown = withKey(key);
  if (!shown) return;
  const focused = shown.contains(document.activeElement);
  keepPlace(() => shown.remove());
  if (focused) (document.querySelector(".notification button") ?? document.querySelector("main")).focus();
}

// Show `text` as a success on the page that the browser loads next.
export function notifyOnNextPage(text) {
  sessionStorage.setItem(NEXT_PAGE, text);
}

const LOST = "The server does not answer. Trying again…";

// Show whether the connection to the server is lost. Every page that follows events calls this.
export function showConnection(lost) {
  if (lost) notify(LOST, { key: "connection" });
  else dismiss("connection");
}

// Do not remove what the user reads or reaches with the keyboard right now.
function removeLater(shown) {
  setTimeout(() => {
    if (shown.matches(":hover, :focus-within")) removeLater(shown);
    else keepPlace(() => shown.remove());
  }, SHOWN_MS);
}

const kept = sessionStorage.getItem(NEXT_PAGE);
sessionStorage.removeItem(NEXT_PAGE);
if (kept) notify(kept, { kind: "success" });
