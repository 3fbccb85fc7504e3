// The gateway's REST API. A problem document becomes an exception with its code.

export class Refused extends Error {
  constructor(problem) {
    super(problem.detail || problem.title);
    this.problem = problem;
  }
}

// Submit a photo; with the same key it is one job, however often it is sent.
export async function submitFile(file, key) {
  const body = new FormData();
  body.append("files", file, file.name);
  return (await ask("/v1/jobs", { method: "POST", headers: { "Idempotency-Key": key }, body })).jobs[0];
}

// Tell whether it is worth asking again: nobody answered, or a store is away.
export const passes = (error) => !(error instanceof Refused) || error.problem.status === 503;

export async function submitUrls(urls) {
  const answer = await ask("/v1/jobs", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ urls }),
  }).catch((error) => {
    if (error instanceof Refused) return { jobs: urls.map(() => ({ error: error.problem })) };
    throw error;
  });
  return answer.jobs;
}

// Return the job when it is at its end, or as it is after so many seconds.
export function readJob(id, seconds) {
  return ask(`/v1/jobs/${encodeURIComponent(id)}?wait=${seconds}`);
}

// Run a job again. Of what is known already nothing is computed, unless it is forced.
export function runAgain(id, force) {
  return ask(`/v1/jobs/${encodeURIComponent(id)}/runs`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ force }),
  });
}

export function deleteJob(id) {
  return ask(`/v1/jobs/${encodeURIComponent(id)}`, { method: "DELETE" });
}

// Return the problem that an error amounts to.
export function problemOf(error) {
  return error instanceof Refused
    ? error.problem : { code: "gateway-unreachable", detail: "The gateway did not answer." };
}

async function ask(path, options) {
  const answer = await fetch(path, options);
  if (answer.status === 204) return undefined;
  const document = await answer.json();
  if (!answer.ok) throw new Refused(document);
  return document;
}
