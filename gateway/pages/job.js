// The page of one job: refresh the page when the job changes, run the job again, delete the job.

import { act, follow } from "./api.js";
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
  const error = document.querySelector("#action-error");
  error.hidden = !result?.code;
  error.textContent = result?.code ? `${result.detail} (${result.code})` : "";
  if (result === "deleted") location.assign("/gallery");
  if (result === "running") refresh();
});
actions.hidden = false;

follow({
  changed: (state) => {
    if (state.job_id !== id) return;
    if (state.status === "deleted") location.assign("/gallery");
    else refresh().catch(() => {});
  },
  opened: () => refresh().catch(() => {}),
  lost: () => {},
});
