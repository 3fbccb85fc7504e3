// The upload page: submit files and links, and show the jobs of this browser tab.

import { act, canRetry, problemOf, submitFile, submitUrls } from "./api.js";
import {
  add, clearFinished, control, drop, isShown, remember, requestRead, show, start,
} from "./session_jobs.js";
import { statusOf } from "./row.js";
import { setFieldError } from "./shell/fields.js";
import { notify } from "./shell/notifications.js";

// A browser opens six connections to a server. The others are for the event stream and for pictures.
const MAX_UPLOADS = 3;

// Seconds before each retry while the gateway or its store is unavailable.
const RETRY_DELAYS_S = [1, 2, 5, 10];

const queue = [];
let uploading = 0;

// Queued files exist only in this page. Ask before the user leaves.
addEventListener("beforeunload", (event) => {
  if (queue.length || uploading) event.preventDefault();
});

function takeFiles(files) {
  for (const file of files) queue.push({ file, entry: add({ name: file.name, note: "waiting" }) });
  startUploads();
}

async function takeUrls(urls) {
  const added = urls.map((url) => add({ name: url, note: "submitting" }));
  const answers = await submitUrls(urls).catch((error) => urls.map(() => ({ error: problemOf(error) })));
  added.forEach((entry, index) => setAnswer(entry, answers[index]));
}

function startUploads() {
  while (uploading < MAX_UPLOADS && queue.length) {
    const { entry, file } = queue.shift();
    if (!isShown(entry)) continue; // removed by the user
    uploading += 1;
    upload(entry, file).finally(() => { uploading -= 1; startUploads(); });
  }
}

async function upload(entry, file) {
  const key = Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("-");
  for (let tries = 0; isShown(entry); tries += 1) { // until the user removes the entry
    setNote(entry, "uploading");
    try {
      return setAnswer(entry, await submitFile(file, key));
    } catch (error) {
      if (!canRetry(error)) return setAnswer(entry, { error: problemOf(error) });
      setNote(entry, "retrying");
      const delay = RETRY_DELAYS_S[tries] || RETRY_DELAYS_S.at(-1);
      await new Promise((resolve) => setTimeout(resolve, 1000 * delay));
    }
  }
  return undefined;
}

function setNote(entry, note) {
  entry.note = note;
  show(entry);
}

function setAnswer(entry, answer) {
  entry.note = undefined;
  if (answer.error) entry.error = answer.error;
  else entry.id = answer.job_id;
  show(entry);
  remember();
  requestRead(entry);
}

async function press(action, entry) {
  if (action === "remove") return drop(entry);
  const job = { ...entry, status: statusOf(entry) };
  const result = await act(action, job, () => control(entry, action));
  if (result === "deleted") {
    drop(entry);
    return notify(`${entry.name} is deleted.`, { kind: "success" });
  }
  if (result === "running") notify(`${entry.name} runs again.`, { kind: "success" });
  return requestRead(entry);
}

function listen() {
  const files = document.querySelector("#files");
  files.addEventListener("change", () => { takeFiles(files.files); files.value = ""; });
  document.querySelector("#clear").addEventListener("click", clearFinished);
  document.querySelector("#upload").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = document.querySelector("#urls");
    const urls = field.value.split(/\s+/).filter(Boolean);
    setFieldError(field, urls.length ? "" : "Enter at least one link.");
    if (!urls.length) return;
    field.value = "";
    takeUrls(urls);
  });
}

function listenForDrops() {
  const area = document.querySelector("#drop");
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    area.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) area.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    area.classList.remove("over");
    takeFiles(event.dataTransfer.files);
  });
}

listen();
listenForDrops();
start(press);
