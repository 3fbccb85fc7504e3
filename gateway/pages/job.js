// The page of one job: refresh the page when the job changes, run the job again, delete the job.

import { act, follow } from "./api.js";
import { notify, notifyOnNextPage, showConnection } from "./shell/notifications.js";
import { fetched } from "./swap.js";

const actions = document.querySelector("#actions");
const job = () => document.querySelector("#job");
const { id } = job().dataset;

async function refresh() {
  const page = await fetched(location.href);
  const [ours, theirs] = [job(), page.querySelector("#job")];
  if (theirs.dataset.mark === ours.dataset.mark) return;
  const focused = ours.contains(document.activeElement);
  ours.replaceWith(theirs);
  document.title = page.title;
  if (focused) document.querySelector("#title").focus();
}

actions.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-act]");
  if (!button) return;
  const name = document.querySelector("#title").textContent;
  const status = document.querySelector("#job .status").textContent;
  const result = await act(button.dataset.act, { id, name, status });
  if (result === "deleted") leave(name);
  if (result === "running") {
    notify(`${name} runs again.`, { kind: "success" });
    refresh();
  }
});
actions.hidden = false;

function leave(name) {
  notifyOnNextPage(`${name} is deleted.`);
  location.assign("/gallery");
}

follow({
  changed: (state) => {
    if (state.job_id !== id) return;
    if (state.status === "deleted") leave(document.querySelector("#title").textContent);
    else refresh().catch(() => {});
  },
  opened: () => { showConnection(false); refresh().catch(() => {}); },
  lost: (refused) => showConnection(!refused),
});
