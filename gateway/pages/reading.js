// Read the session's jobs when the stream says that they have changed; while there is no stream,
// by long polls.

import { Refused, readJob } from "./api.js";
import { connected, drop, entries, isOpen, show } from "./entries.js";
import { follow } from "./live.js";

// Browsers open six connections to a server: one is the stream's, three are for uploads.
const READS = 2;
const POLL_S = 2;
const AWAY_MS = 2000;

let reading = 0;
let streaming = false;

export function changed(entry) {
  entry.stale = true;
  read();
}

export function watch() {
  follow({
    changed: ({ job_id: id, status }) => {
      const entry = entries.find((each) => each.id === id);
      if (entry && status === "deleted") drop(entry);
      else if (entry) changed(entry);
    },
    opened: () => {
      streaming = true;
      connected("");
      // What happened before the stream began was not in it.
      for (const entry of entries.filter(({ id, error }) => id && !error)) changed(entry);
    },
    lost: (refused) => {
      streaming = false;
      if (!refused) connected("the gateway does not answer; trying again");
      read();
    },
  });
}

const isDue = (entry) => entry.id && !entry.busy && (entry.stale || (!streaming && isOpen(entry)));

function read() {
  while (reading < READS) {
    // Whoever was asked about longest ago is next, so that all of them move.
    const next = entries.filter(isDue).sort((a, b) => (a.asked || 0) - (b.asked || 0))[0];
    if (!next) return;
    reading += 1;
    next.busy = true;
    next.asked = performance.now();
    readOne(next).finally(() => { reading -= 1; next.busy = false; read(); });
  }
}

async function readOne(entry) {
  const others = entries.filter(isOpen).length;
  const patience = others > READS ? POLL_S / 4 : POLL_S;
  const wait = entry.stale || !entry.job ? 0 : patience;
  entry.stale = false;
  try {
    entry.job = await readJob(entry.id, wait);
    entry.error = undefined;
    if (!streaming) connected("");
  } catch (error) {
    if (error instanceof Refused && error.problem.status < 500) {
      entry.error = error.problem;
    } else {
      connected("the gateway does not answer; trying again");
      await new Promise((resolve) => setTimeout(resolve, AWAY_MS));
      entry.stale = true;
    }
  }
  if (entries.includes(entry)) show(entry);
}
