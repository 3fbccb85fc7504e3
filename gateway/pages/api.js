// The gateway's REST API. A problem document becomes an exception with its code.

export class Refused extends Error {
  constructor(problem) {
    super(problem.detail || problem.title);
    this.problem = problem;
  }
}

export async function submitFile(file) {
  const body = new FormData();
  body.append("files", file, file.name);
  return (await ask("/v1/jobs", { method: "POST", body })).jobs[0];
}

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

async function ask(path, options) {
  const answer = await fetch(path, options);
  const document = await answer.json();
  if (!answer.ok) throw new Refused(document);
  return document;
}
