// One job as a table row.

import { element, link, picture, progressBar } from "./shell/elements.js";
import { cell, rowAction } from "./shell/tables.js";

const FINAL = ["completed", "failed"];

// Return the row's cells for an entry: {name, id?, job?, error?, note?}.
export function cells(entry) {
  const job = entry.job;
  return [
    cell("Photo", [photo(entry), status(entry)], { heads: true }),
    cell("Description", [cause(entry), ...(job ? words(job) : [])]),
    cell("Likely categories", job ? [topFive(job)] : []),
    cell("Progress", job ? [progress(entry), stages(job)] : []),
    cell("Pictures", job ? [pictures(job, entry.name)] : []),
    cell("Actions", [actions(entry)]),
  ];
}

export const isFinal = (entry) => FINAL.includes(statusOf(entry));

export function statusOf(entry) {
  if (entry.error) return "failed";
  return entry.job ? entry.job.status : entry.note || "pending";
}

// A job that was opened by its link has no name here yet: its file name replaces the id.
export function nameOf({ id, name, job }) {
  return (name === id && job?.filename) || name;
}

function photo(entry) {
  const thumbnail = entry.job?.thumbnails[0];
  // Reserve the space while a thumbnail may still arrive, so that the page does not jump.
  const framed = thumbnail || statusOf(entry) !== "failed";
  return element("div", { children: [
    framed && element("div", { class: "frame", children: [thumbnail && picture(
      thumbnail.url, "", { width: thumbnail.width, height: thumbnail.height })] }),
    element("div", { class: "name", children: [entry.job
      ? element("a", { href: `/gallery/${entry.id}`, text: nameOf(entry) })
      : document.createTextNode(nameOf(entry))] }),
  ] });
}

function status(entry) {
  const text = statusOf(entry);
  return element("span", { class: `status ${text}`, text });
}

function cause({ job, error }) {
  const failure = error || job?.error;
  if (!failure) return null;
  const where = failure.stage ? `${failure.stage}: ` : "";
  return element("p", { class: "cause", children: [
    element("strong", { text: failure.message || failure.detail || "" }),
    element("span", { class: "soft", text: ` ${where}${failure.code}` }),
  ] });
}

function words(job) {
  const attributes = Object.entries(job.attributes).map(([name, attribute]) =>
    element("li", {
      text: `${name}: ${attribute.value}${attribute.needs_review ? " (needs review)" : ""}`,
      title: percent(attribute.confidence),
    }));
  return [
    typeof job.caption === "string"
      && element("p", { class: "caption", text: job.caption || "No garment found" }),
    job.needs_review && element("p", { class: "review", text: "Needs review" }),
    job.description && element("p", { class: "description", text: job.description }),
    attributes.length > 0 && element("ul", { class: "chips attributes", children: attributes }),
  ];
}

function topFive(job) {
  if (!job.top5.length) return null;
  return element("ol", { class: "top5", children: job.top5.map(({ label, probability }) =>
    element("li", { children: [
      element("span", { text: `${label} ` }),
      element("span", { class: "percent", text: percent(probability) }),
      element("meter", { min: 0, max: 1, value: probability, "aria-hidden": "true" }),
    ] })) });
}

function progress(entry) {
  const all = Object.values(entry.job.stages);
  if (isFinal(entry) || !all.length) return null;
  const ended = all.filter(({ status: each }) => each !== "pending");
  return progressBar(`Stages of ${entry.name}`, ended.length, all.length);
}

function stages(job) {
  return element("ul", { class: "stages", children: Object.entries(job.stages).map(
    ([name, stage]) => element("li", {
      class: stage.status,
      title: stage.error ? `${stage.error.code}: ${stage.error.message}` : undefined,
      children: [
        element("span", { class: "mark", "aria-hidden": "true" }),
        element("span", { text: name }),
        element("span", { class: "unseen", text: ` ${stage.status}` }),
        stage.reused && element("span", { class: "reused", text: " reused" }),
      ],
    })) });
}

function pictures(job, name) {
  const shots = job.shots.map((shot) => element("li", { children: [
    link(shot.url, [picture(shot.url, ""), element("span", { text: shot.label })],
      `${shot.label} of ${name}`),
  ] }));
  const links = [["annotated", job.annotated], ["cut-out", job.cutout], ["full size", job.original]]
    .filter(([, artifact]) => artifact)
    .map(([text, artifact]) => element("li", { children: [
      link(artifact.url, [document.createTextNode(text)], `${text} picture of ${name}`),
    ] }));
  if (!shots.length && !links.length) return null;
  return element("div", { children: [
    shots.length > 0 && element("ul", { class: "shots", children: shots }),
    links.length > 0 && element("ul", { class: "links", children: links }),
  ] });
}

function actions(entry) {
  return element("div", { class: "actions", children: [
    entry.job && isFinal(entry) && rowAction("again", "Run again", entry.name),
    entry.job && rowAction("delete", "Delete", entry.name),
    (entry.error || entry.note) && rowAction("remove", "Remove", entry.name),
  ] });
}

function percent(probability) {
  return `${(probability * 100).toFixed(1)}%`;
}
