// The gallery page: cards appear and change while the jobs run.

import { follow } from "./api.js";
import { showConnection } from "./shell/notifications.js";
import { fetched, replace } from "./swap.js";

const DELAY_MS = 500;

const changedIds = new Set();
let timer;
let again;

const cardOf = (id) => document.getElementById(`job-${id}`);

// Jobs can change many times a second. Refresh once for all changes, one refresh at a time.
function scheduleRefresh() {
  again = true;
  timer ||= setTimeout(runRefresh, DELAY_MS);
}

async function runRefresh() {
  again = false;
  await refresh().catch(() => {}); // the next refresh shows the missed changes
  timer = undefined;
  if (again) scheduleRefresh();
}

async function refresh() {
  const [ids, address] = [[...changedIds], location.href];
  changedIds.clear();
  const page = await fetched(address);
  if (address !== location.href) return; // the user changed the filters meanwhile
  merge(page);
  for (const id of ids.filter((each) => cardOf(each) && !page.getElementById(`job-${each}`))) {
    const alone = await fetched(`/gallery/${id}/card`);
    renew(cardOf(id), alone.querySelector(".card"));
  }
}

// Insert new cards and replace changed ones. Other cards stay, also those from "Show more".
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

follow({
  changed: ({ job_id: id, status }) => {
    const card = cardOf(id);
    if (status !== "deleted") changedIds.add(id);
    else if (card) remove(card);
    scheduleRefresh();
  },
  opened: () => { showConnection(false); scheduleRefresh(); },
  lost: (refused) => {
    showConnection(!refused);
    if (refused) scheduleRefresh();
  },
});
