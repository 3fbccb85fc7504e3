// The gateway's REST API and event stream, and the two actions on a job: run again and delete.

import { confirmed } from "./shell/dialogs.js";
import { notify } from "./shell/notifications.js";

// A problem document (RFC 9457) of the API, as an exception.
export class ApiError extends Error {
  constructor(problem) {
    super(problem.detail || problem.title);
    this.problem = problem;
  }
}

// Submit a photo. Sending it again with the same key does not create a second job.
export async function submitFile(file, key) {
  const body = new FormData();
  body.append("files", file, file.name);
  return (await send("/v1/jobs", { method: "POST", headers: { "Idempotency-Key": key }, body })).jobs[0];
}

export async function submitUrls(urls) {
  const answer = await sendJson("/v1/jobs", { urls }).catch((error) => {
    if (error instanceof ApiError) return { jobs: urls.map(() => ({ error: error.problem })) };
    throw error;
  });
  return answer.jobs;
}

// Return the job when its run ends, or after this many seconds.
export function readJob(id, seconds) {
  return send(`${pathOf(id)}?wait=${seconds}`);
}

// Whether a retry can succeed: the gateway did not answer, or a store is unavailable.
export const canRetry = (error) => !(error instanceof ApiError) || error.problem.status === 503;

export function problemOf(error) {
  return error instanceof ApiError
    ? error.problem : { code: "gateway-unreachable", detail: "The server did not answer." };
}

// Run or delete the job {id, name, status}. Resolve to "running", to "deleted", or to null if the user
// cancels or the request fails. A failure is shown as a notification. `returnTo` returns the button.
export async function act(action, job, returnTo) {
  try {
    return action === "delete" ? await remove(job, returnTo) : await runAgain(job);
  } catch (error) {
    const { code, detail } = problemOf(error);
    notify(`${job.name}: ${detail} (${code})`, { kind: "error" });
    return null;
  }
}

async function remove({ id, name }, returnTo) {
  const sure = await confirmed({
    title: `Delete ${name}?`,
    consequence: "Its results and pictures are deleted too. You cannot undo this.",
    verb: "Delete",
    returnTo,
  });
  if (!sure) return null;
  await send(pathOf(id), { method: "DELETE" });
  return "deleted";
}

async function runAgain({ id, status }) {
  // Without "force" a completed job would only repeat its cached results.
  await sendJson(`${pathOf(id)}/runs`, { force: status === "completed" });
  return "running";
}

const pathOf = (id) => `/v1/jobs/${encodeURIComponent(id)}`;

function sendJson(path, value) {
  return send(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(value),
  });
}

async function send(path, options) {
  const answer = await fetch(path, options);
  if (answer.status === 204) return undefined;
  const document = await answer.json();
  if (!answer.ok) throw new ApiError(document);
  return document;
}

const REOPEN_MS = 10_000;

// Follow the changes of all jobs: call `changed(state)` for each change, `opened()` when the stream
// opens or reopens, and `lost(refused)` when the stream ends. After a refusal this function reopens
// the stream every ten seconds. After a lost connection the browser reconnects by itself, and the
// gateway sends the missed changes.
// The stream is closed while the page is hidden: a browser opens at most six connections to a
// server, for all tabs together.
export function follow({ changed, opened, lost }) {
  let source;
  let reopening;

  function open() {
    close();
    source = new EventSource("/v1/events");
    source.addEventListener("job", (event) => changed(JSON.parse(event.data)));
    source.onopen = opened;
    source.onerror = () => {
      const refused = source.readyState === EventSource.CLOSED;
      if (refused) reopening = setTimeout(open, REOPEN_MS);
      lost(refused);
    };
  }

  function close() {
    clearTimeout(reopening);
    source?.close();
  }

  const openIfVisible = () => (document.hidden ? close() : open());
  document.addEventListener("visibilitychange", openIfVisible);
  openIfVisible();
}
