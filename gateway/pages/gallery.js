// The gallery while it is open: photos appear and change as their jobs move.

import { follow } from "./live.js";
import { fetched, replace } from "./swap.js";

const PAUSE_MS = 500;

const moved = new Set();
let due;
let again;

const cardOf = (id) => document.getElementById(`job-${id}`);

// Many jobs move many times a second: look once for all of them, and not while looking.
function soon() {
  again = true;
  due ||= setTimeout(look, PAUSE_MS);
}

async function look() {
  again = false;
  await refresh().catch(() => {}); // what is missed now is in the next look
  due = undefined;
  if (again) soon();
}

async function refresh() {
  const [ids, address] = [[...moved], location.href];
  moved.clear();
  const page = await fetched(address);
  if (address !== location.href) return; // filtered meanwhile
  merge(page);
  for (const id of ids.filter((each) => cardOf(each) && !page.getElementById(`job-${each}`))) {
    const alone = await fetched(`/gallery/${id}/card`);
    renew(cardOf(id), alone.querySelector(".card"));
  }
}

// Take over what is new and what has changed; all else, and what "Show more" added, stays.
function merge(page) {
  const [ours, theirs] = [document, page].map((each) => each.querySelector("#cards"));
  if (!(ours || theirs)) return;
  if (!ours || !(theirs || ours.children.length)) {
    replace(page, "#results");
    return;
  }
  let before;
  for (const card of [...(theirs?.children ?? [])]) {
    const shown = document.getElementById(card.id);
    if (shown) renew(shown, card);
    else if (before) before.after(card);
    else ours.prepend(card);
    before = document.getElementById(card.id);
  }
  const [total, now] = [document, page].map((each) => each.querySelector("#total"));
  if (total.textContent !== now.textContent) total.textContent = now.textContent;
}

function remove(card) {
  const next = card.nextElementSibling || card.previousElementSibling;
  const focused = card.contains(document.activeElement);
  card.remove();
  if (focused) (next?.querySelector("a") || document.querySelector("main")).focus();
}

function renew(shown, card) {
  if (!shown || !card || shown.dataset.mark === card.dataset.mark) return;
  const focused = shown.contains(document.activeElement);
  shown.replaceWith(card);
  if (focused) card.querySelector("a").focus();
}

function say(text) {
  const line = document.querySelector("#connection");
  if (line.textContent !== text) line.textContent = text;
}

follow({
  changed: ({ job_id: id, status }) => {
    const card = cardOf(id);
    if (status !== "deleted") moved.add(id);
    else if (card) remove(card);
    soon();
  },
  opened: () => { say(""); soon(); },
  lost: (refused) => {
    say(refused ? "" : "The gateway does not answer; trying again.");
    if (refused) soon();
  },
});
