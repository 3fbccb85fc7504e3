// The jobs of this browser tab: their table rows, session storage, and reading their states.
// Event stream messages trigger the reads; without a stream, this module polls.

import { ApiError, follow, readJob } from "./api.js";
import { cells, isFinal, nameOf, statusOf } from "./row.js";
import { showConnection } from "./shell/notifications.js";
import { DataTable } from "./shell/tables.js";

const KEY = "lookstream.jobs";

// A browser opens six connections to a server: one for the stream, three for uploads, two for reads.
const MAX_READS = 2;
const POLL_S = 2;
const RETRY_DELAY_MS = 2000;

// An entry is {name, id?, job?, error?, note?}.
const isOpen = (entry) => entry.id && !entry.error && !isFinal(entry);

let table;
let reading = 0;
let streaming = false;

// Show the table. `act(action, entry)` is called when a row's button is pressed.
export function start(act) {
  table = new DataTable("jobs", {
    cells,
    act,
    sortBy: {
      Photo: nameOf,
      Description: (entry) => entry.job?.caption ?? "",
      Progress: statusOf,
    },
    heading: document.querySelector("#jobs-title"),
  });
  restore();
  watch();
}

export const isShown = (entry) => table.has(entry);
export const control = (entry, key) => isShown(entry) && table.control(entry, key);

export function add(entry) {
  table.add(entry);
  summarise();
  return entry;
}

export function show(entry) {
  if (isShown(entry)) table.update(entry);
  summarise();
}

export function drop(entry) {
  if (!isShown(entry)) return; // the event stream may have removed the entry already
  table.remove(entry);
  remember();
  summarise();
}

export function clearFinished() {
  for (const entry of table.items) if (isFinal(entry)) drop(entry);
  document.querySelector("#files").focus();
}

export function remember() {
  const kept = table.items.filter((entry) => entry.id).map(({ id, name }) => ({ id, name }));
  sessionStorage.setItem(KEY, JSON.stringify(kept));
}

// Show the jobs from before a reload, and the job in the fragment of the page's URL.
function restore() {
  const kept = JSON.parse(sessionStorage.getItem(KEY) || "[]");
  const linked = location.hash.slice(1);
  if (linked && !kept.some(({ id }) => id === linked)) kept.push({ id: linked, name: linked });
  for (const { id, name } of kept) add({ id, name });
}

function summarise() {
  const entries = table.items;
  const count = (status) => entries.filter((entry) => statusOf(entry) === status).length;
  const [done, failed] = [count("completed"), count("failed")];
  const counted = entries.length > 0 && `${done} of ${entries.length} completed`;
  const text = [counted, failed && `${failed} failed`].filter(Boolean).join(", ");
  const summary = document.querySelector("#summary");
  if (summary.textContent !== text) summary.textContent = text;
  document.querySelector("#clear").hidden = done + failed === 0;
}

// Read the entry's job as soon as a read is free.
export function requestRead(entry) {
  entry.stale = true;
  startReads();
}

function watch() {
  follow({
    changed: ({ job_id: id, status }) => {
      const entry = table.items.find((each) => each.id === id);
      if (entry && status === "deleted") drop(entry);
      else if (entry) requestRead(entry);
    },
    opened: () => {
      streaming = true;
      showConnection(false);
      // The stream does not contain changes from before it opened.
      for (const entry of table.items.filter(({ id, error }) => id && !error)) requestRead(entry);
    },
    lost: (refused) => {
      streaming = false;
      if (!refused) showConnection(true);
      startReads();
    },
  });
}

const isDue = (entry) => entry.id && !entry.busy && (entry.stale || (!streaming && isOpen(entry)));

function startReads() {
  while (reading < MAX_READS) {
    // Read the entry with the oldest read first, so that every entry gets its turn.
    const next = table.items.filter(isDue).sort((a, b) => (a.readAt || 0) - (b.readAt || 0))[0];
    if (!next) return;
    reading += 1;
    next.busy = true;
    next.readAt = performance.now();
    readOne(next).finally(() => { reading -= 1; next.busy = false; startReads(); });
  }
}

async function readOne(entry) {
  const pollS = table.items.filter(isOpen).length > MAX_READS ? POLL_S / 4 : POLL_S;
  const wait = entry.stale || !entry.job ? 0 : pollS;
  entry.stale = false;
  try {
    entry.job = await readJob(entry.id, wait);
    entry.error = undefined;
    if (!streaming) showConnection(false);
  } catch (error) {
    if (error instanceof ApiError && error.problem.status < 500) {
      entry.error = error.problem;
    } else {
      showConnection(true);
      await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY_MS));
      entry.stale = true;
    }
  }
  show(entry);
}
