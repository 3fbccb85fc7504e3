// Take photos: chosen, dropped on the page, or by their addresses.

import { passes, problemOf, submitFile, submitUrls } from "./api.js";
import { add, entries, remember, show } from "./entries.js";
import { changed } from "./reading.js";

// Browsers open six connections to a server: some must be left for the stream and for pictures.
const UPLOADS = 3;

// Seconds between two tries while the gateway or its store is away.
const PAUSES = [1, 2, 5, 10];

const waiting = [];
let uploading = 0;

// What waits here is nowhere else yet: leaving the page would lose it.
addEventListener("beforeunload", (event) => {
  if (waiting.length || uploading) event.preventDefault();
});

export function takeFiles(files) {
  for (const file of files) waiting.push({ file, entry: add({ name: file.name, note: "waiting" }) });
  upload();
}

export async function takeUrls(urls) {
  const taken = urls.map((url) => add({ name: url, note: "submitting" }));
  const answers = await submitUrls(urls).catch((error) => urls.map(() => ({ error: problemOf(error) })));
  taken.forEach((entry, index) => accepted(entry, answers[index]));
}

function upload() {
  while (uploading < UPLOADS && waiting.length) {
    const { entry, file } = waiting.shift();
    if (!entries.includes(entry)) continue; // taken back
    uploading += 1;
    submitted(entry, file).finally(() => { uploading -= 1; upload(); });
  }
}

async function submitted(entry, file) {
  const key = Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("-");
  for (let tries = 0; entries.includes(entry); tries += 1) { // until it is taken back
    say(entry, "uploading");
    try {
      return accepted(entry, await submitFile(file, key));
    } catch (error) {
      if (!passes(error)) return accepted(entry, { error: problemOf(error) });
      say(entry, "retrying");
      await new Promise((resume) => setTimeout(resume, 1000 * (PAUSES[tries] || PAUSES.at(-1))));
    }
  }
  return undefined;
}

function say(entry, note) {
  entry.note = note;
  show(entry);
}

function accepted(entry, answer) {
  entry.note = undefined;
  if (answer.error) entry.error = answer.error;
  else entry.id = answer.job_id;
  show(entry);
  remember();
  changed(entry);
}
