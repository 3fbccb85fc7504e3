// The page: takes photos, keeps this session's jobs, and follows them by long polls.

import { Refused, readJob, submitFile, submitUrls } from "./api.js";
import { element } from "./dom.js";
import { cells, statusOf } from "./row.js";

const KEY = "lookstream.jobs";
// Browsers open six connections to a server: some must be left for pictures.
const UPLOADS = 3;
const POLLS = 2;
const POLL_S = 2;
const AWAY_MS = 2000;

const body = document.querySelector("#jobs tbody");
const entries = []; // {name, id?, job?, error?, note?, row, shown}
const uploads = [];
let uploading = 0;
let polling = 0;
let away = false;

function add(entry) {
  entry.row = element("tr");
  entries.push(entry);
  body.prepend(entry.row);
  show(entry);
  return entry;
}

function show(entry) {
  const { name, job, error, note } = entry;
  const shown = JSON.stringify([name, job, error, note]);
  if (shown !== entry.shown) {
    entry.shown = shown;
    const focused = entry.row.contains(document.activeElement) && document.activeElement.href;
    entry.row.replaceChildren(...cells(entry));
    if (focused) [...entry.row.querySelectorAll("a")].find((a) => a.href === focused)?.focus();
  }
  summarise();
}

function summarise() {
  const count = (status) => entries.filter((entry) => statusOf(entry) === status).length;
  const [done, failed] = [count("completed"), count("failed")];
  const parts = [`${done} of ${entries.length} completed`, failed && `${failed} failed`];
  if (away) parts.push("the gateway does not answer; trying again");
  const text = entries.length || away ? parts.filter(Boolean).join(", ") : "";
  const summary = document.querySelector("#summary");
  if (summary.textContent !== text) summary.textContent = text;
  document.querySelector("#jobs").hidden = entries.length === 0;
  document.querySelector("#empty").hidden = entries.length > 0;
  document.querySelector("#clear").hidden = done + failed === 0;
}

function remember() {
  const kept = entries.filter((entry) => entry.id).map(({ id, name }) => ({ id, name }));
  sessionStorage.setItem(KEY, JSON.stringify(kept));
}

function accepted(entry, answer) {
  entry.note = undefined;
  if (answer.error) entry.error = answer.error;
  else entry.id = answer.job_id;
  show(entry);
  remember();
  poll();
}

function problemOf(error) {
  return error instanceof Refused
    ? error.problem : { code: "gateway-unreachable", detail: "The gateway did not answer." };
}

async function upload() {
  while (uploading < UPLOADS && uploads.length) {
    const { entry, file } = uploads.shift();
    uploading += 1;
    entry.note = "uploading";
    show(entry);
    submitFile(file)
      .then((answer) => accepted(entry, answer), (error) => accepted(entry, { error: problemOf(error) }))
      .finally(() => { uploading -= 1; upload(); });
  }
}

function takeFiles(files) {
  for (const file of files) uploads.push({ file, entry: add({ name: file.name, note: "waiting" }) });
  upload();
}

async function takeUrls(urls) {
  const taken = urls.map((url) => add({ name: url, note: "submitting" }));
  const answers = await submitUrls(urls).catch((error) => urls.map(() => ({ error: problemOf(error) })));
  taken.forEach((entry, index) => accepted(entry, answers[index]));
}

const isOpen = (entry) =>
  entry.id && !entry.error && !entry.polled && !["completed", "failed"].includes(entry.job?.status);

function poll() {
  while (polling < POLLS) {
    // Whoever was asked about longest ago is next, so that all of them move.
    const next = entries.filter(isOpen).sort((a, b) => (a.asked || 0) - (b.asked || 0))[0];
    if (!next) return;
    polling += 1;
    next.polled = true;
    next.asked = performance.now();
    follow(next).finally(() => { polling -= 1; next.polled = false; poll(); });
  }
}

async function follow(entry) {
  try {
    const others = entries.filter(isOpen).length;
    const wait = others > POLLS ? POLL_S / 4 : POLL_S;
    entry.job = await readJob(entry.id, entry.job ? wait : 0);
    away = false;
  } catch (error) {
    if (error instanceof Refused && error.problem.status < 500) {
      entry.error = error.problem;
    } else {
      away = true;
      summarise();
      await new Promise((resolve) => setTimeout(resolve, AWAY_MS));
    }
  }
  show(entry);
}

function clearFinished() {
  for (const entry of [...entries]) {
    if (!["completed", "failed"].includes(statusOf(entry))) continue;
    entry.row.remove();
    entries.splice(entries.indexOf(entry), 1);
  }
  remember();
  summarise();
  document.querySelector("#files").focus();
}

function restore() {
  const kept = JSON.parse(sessionStorage.getItem(KEY) || "[]");
  const linked = location.hash.slice(1);
  if (linked && !kept.some(({ id }) => id === linked)) kept.push({ id: linked, name: linked });
  for (const { id, name } of kept) add({ id, name });
  poll();
}

function listen() {
  const files = document.querySelector("#files");
  files.addEventListener("change", () => { takeFiles(files.files); files.value = ""; });
  document.querySelector("#clear").addEventListener("click", clearFinished);
  document.querySelector("#intake").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = document.querySelector("#urls");
    const urls = field.value.split(/\s+/).filter(Boolean);
    field.value = "";
    if (urls.length) takeUrls(urls);
  });
  const drop = document.querySelector("#drop");
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    takeFiles(event.dataTransfer.files);
  });
}

listen();
restore();
summarise();
