// What can be done with a job: run it again, delete it.

import { deleteJob, problemOf, runAgain } from "./api.js";
import { confirmed } from "./asking.js";

// Act on the job {id, name, status}. Resolve to "deleted", "running", null when it was not wanted
// after all, or {code, detail} when it could not be done.
export async function act(what, job) {
  try {
    return what === "delete" ? await remove(job) : await again(job);
  } catch (error) {
    return problemOf(error);
  }
}

async function remove({ id, name }) {
  const sure = await confirmed(
    `Delete ${name}?`, "Its results and pictures go as well. This cannot be undone.", "Delete");
  if (!sure) return null;
  await deleteJob(id);
  return "deleted";
}

async function again({ id, status }) {
  // Of a photo that is completed everything is known: running it again is to compute it again.
  await runAgain(id, status === "completed");
  return "running";
}
