// The jobs of this browser tab: their table rows, session storage, and reading their states.
// Event stream messages trigger the reads; without a stream, this module polls.

import { ApiError, follow, readJob } from "./api.js";
import { element } from "./dom.js";
import { cells, statusOf } from "./row.js";

const KEY = "lookstream.jobs";
const FINAL = ["completed", "failed"];

// A browser opens six connections to a server: one for the stream, three for uploads, two for reads.
const MAX_READS = 2;
const POLL_S = 2;
const RETRY_DELAY_MS = 2000;
const NO_ANSWER = "the server does not answer, trying again";

const body = document.querySelector("#jobs tbody");

export const entries = []; // {name, id?, job?, error?, note?, actionError?, row, shown}
const isOpen = (entry) => entry.id && !entry.error && !FINAL.includes(entry.job?.status);

let connection = "";
let reading = 0;
let streaming = false;

export function add(entry) {
  entry.row = element("tr");
  entries.push(entry);
  body.prepend(entry.row);
  show(entry);
  return entry;
}

export function show(entry) {
  const { name, job, error, note, actionError } = entry;
  const shown = JSON.stringify([name, job, error, note, actionError]);
  if (shown !== entry.shown) {
    entry.shown = shown;
    const focused = entry.row.contains(document.activeElement) && keyOf(document.activeElement);
    entry.row.replaceChildren(...cells(entry));
    if (focused) controls(entry.row).find((each) => keyOf(each) === focused)?.focus();
  }
  summarise();
}

export function drop(entry) {
  if (!entries.includes(entry)) return; // the event stream may have removed the entry already
  const next = entry.row.nextElementSibling || entry.row.previousElementSibling;
  const focused = entry.row.contains(document.activeElement);
  entry.row.remove();
  entries.splice(entries.indexOf(entry), 1);
  remember();
  summarise();
  if (focused) ((next && controls(next)[0]) || document.querySelector("#jobs-title")).focus();
}

export function clearFinished() {
  for (const entry of [...entries]) if (FINAL.includes(statusOf(entry))) drop(entry);
  document.querySelector("#files").focus();
}

export function rowOf(target) {
  const row = target.closest("tr");
  return entries.find((entry) => entry.row === row);
}

export function remember() {
  const kept = entries.filter((entry) => entry.id).map(({ id, name }) => ({ id, name }));
  sessionStorage.setItem(KEY, JSON.stringify(kept));
}

// Show the jobs from before a reload, and the job in the fragment of the page's URL.
export function restore() {
  const kept = JSON.parse(sessionStorage.getItem(KEY) || "[]");
  const linked = location.hash.slice(1);
  if (linked && !kept.some(({ id }) => id === linked)) kept.push({ id: linked, name: linked });
  for (const { id, name } of kept) add({ id, name });
}

// Show a connection problem; an empty text clears the message.
function setConnection(text) {
  connection = text;
  summarise();
}

function summarise() {
  const count = (status) => entries.filter((entry) => statusOf(entry) === status).length;
  const [done, failed] = [count("completed"), count("failed")];
  const counted = entries.length > 0 && `${done} of ${entries.length} completed`;
  const text = [counted, failed && `${failed} failed`, connection].filter(Boolean).join(", ");
  const summary = document.querySelector("#summary");
  if (summary.textContent !== text) summary.textContent = text;
  document.querySelector("#jobs").hidden = entries.length === 0;
  document.querySelector("#empty").hidden = entries.length > 0;
  document.querySelector("#clear").hidden = done + failed === 0;
}

const controls = (row) => [...row.querySelectorAll("a[href], button")];
const keyOf = (control) => control.dataset.act || control.href;

// Read the entry's job as soon as a read is free.
export function requestRead(entry) {
  entry.stale = true;
  startReads();
}

export function watch() {
  follow({
    changed: ({ job_id: id, status }) => {
      const entry = entries.find((each) => each.id === id);
      if (entry && status === "deleted") drop(entry);
      else if (entry) requestRead(entry);
    },
    opened: () => {
      streaming = true;
      setConnection("");
      // The stream does not contain changes from before it opened.
      for (const entry of entries.filter(({ id, error }) => id && !error)) requestRead(entry);
    },
    lost: (refused) => {
      streaming = false;
      if (!refused) setConnection(NO_ANSWER);
      startReads();
    },
  });
}

const isDue = (entry) => entry.id && !entry.busy && (entry.stale || (!streaming && isOpen(entry)));

function startReads() {
  while (reading < MAX_READS) {
    // Read the entry with the oldest read first, so that every entry gets its turn.
    const next = entries.filter(isDue).sort((a, b) => (a.readAt || 0) - (b.readAt || 0))[0];
    if (!next) return;
    reading += 1;
    next.busy = true;
    next.readAt = performance.now();
    readOne(next).finally(() => { reading -= 1; next.busy = false; startReads(); });
  }
}

async function readOne(entry) {
  const pollS = entries.filter(isOpen).length > MAX_READS ? POLL_S / 4 : POLL_S;
  const wait = entry.stale || !entry.job ? 0 : pollS;
  entry.stale = false;
  try {
    entry.job = await readJob(entry.id, wait);
    entry.error = undefined;
    if (!streaming) setConnection("");
  } catch (error) {
    if (error instanceof ApiError && error.problem.status < 500) {
      entry.error = error.problem;
    } else {
      setConnection(NO_ANSWER);
      await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY_MS));
      entry.stale = true;
    }
  }
  if (entries.includes(entry)) show(entry);
}
