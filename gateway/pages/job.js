// The page of one job while it is open: it follows the job, runs it again, deletes it.

import { act } from "./actions.js";
import { follow } from "./live.js";
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
  const done = await act(button.dataset.act, { id, name, status });
  const trouble = document.querySelector("#trouble");
  trouble.hidden = !done?.code;
  trouble.textContent = done?.code ? `${done.code}: ${done.detail}` : "";
  if (done === "deleted") location.assign("/gallery");
  if (done === "running") refresh();
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
