// Take photos: chosen, dropped on the page, or by their addresses.

import { problemOf, submitFile, submitUrls } from "./api.js";
import { add, entries, remember, show } from "./entries.js";
import { changed } from "./reading.js";

// Browsers open six connections to a server: some must be left for the stream and for pictures.
const UPLOADS = 3;

const waiting = [];
let uploading = 0;

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
    entry.note = "uploading";
    show(entry);
    submitFile(file)
      .then((answer) => accepted(entry, answer), (error) => accepted(entry, { error: problemOf(error) }))
      .finally(() => { uploading -= 1; upload(); });
  }
}

function accepted(entry, answer) {
  entry.note = undefined;
  if (answer.error) entry.error = answer.error;
  else entry.id = answer.job_id;
  show(entry);
  remember();
  changed(entry);
}
