// The page: takes photos, and shows this session's jobs as they move.

import { act } from "./actions.js";
import { clearFinished, drop, restore, rowOf, show } from "./entries.js";
import { takeFiles, takeUrls } from "./intake.js";
import { changed, watch } from "./reading.js";
import { statusOf } from "./row.js";

async function press(button) {
  const entry = rowOf(button);
  if (button.dataset.act === "remove") return drop(entry);
  const done = await act(button.dataset.act, { ...entry, status: statusOf(entry) });
  if (done === null) return undefined;
  if (done === "deleted") return drop(entry);
  entry.trouble = done === "running" ? undefined : done;
  show(entry);
  return changed(entry);
}

function listen() {
  const files = document.querySelector("#files");
  files.addEventListener("change", () => { takeFiles(files.files); files.value = ""; });
  document.querySelector("#clear").addEventListener("click", clearFinished);
  document.querySelector("#jobs tbody").addEventListener("click", (event) => {
    const button = event.target.closest("[data-act]");
    if (button) press(button);
  });
  document.querySelector("#intake").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = document.querySelector("#urls");
    const urls = field.value.split(/\s+/).filter(Boolean);
    field.value = "";
    if (urls.length) takeUrls(urls);
  });
}

function listenForDrops() {
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
listenForDrops();
restore();
watch();
