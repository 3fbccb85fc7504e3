// The photos of this session: their rows, and what of them is kept over a reload.

import { element } from "./dom.js";
import { cells, statusOf } from "./row.js";

const KEY = "lookstream.jobs";
const ENDS = ["completed", "failed"];

const body = document.querySelector("#jobs tbody");

export const entries = []; // {name, id?, job?, error?, note?, trouble?, row, shown}
export const isOpen = (entry) => entry.id && !entry.error && !ENDS.includes(entry.job?.status);

let connection = "";

export function add(entry) {
  entry.row = element("tr");
  entries.push(entry);
  body.prepend(entry.row);
  show(entry);
  return entry;
}

export function show(entry) {
  const { name, job, error, note, trouble } = entry;
  const shown = JSON.stringify([name, job, error, note, trouble]);
  if (shown !== entry.shown) {
    entry.shown = shown;
    const focused = entry.row.contains(document.activeElement) && keyOf(document.activeElement);
    entry.row.replaceChildren(...cells(entry));
    if (focused) controls(entry.row).find((each) => keyOf(each) === focused)?.focus();
  }
  summarise();
}

export function drop(entry) {
  if (!entries.includes(entry)) return; // the stream may have said so before
  const next = entry.row.nextElementSibling || entry.row.previousElementSibling;
  const focused = entry.row.contains(document.activeElement);
  entry.row.remove();
  entries.splice(entries.indexOf(entry), 1);
  remember();
  summarise();
  if (focused) ((next && controls(next)[0]) || document.querySelector("#jobs-title")).focus();
}

export function clearFinished() {
  for (const entry of [...entries]) if (ENDS.includes(statusOf(entry))) drop(entry);
  document.querySelector("#files").focus();
}

export function rowOf(target) {
  const row = target.closest("tr");
  return entries.find((entry) => entry.row === row);
}

export function remember() {
  const kept = entries.filter((entry) => entry.id).map(({ id, name }) => ({ id, name }));
  sessionStorage.setItem(KEY, JSON.stringify(kept));
}

// Show the photos that were here before the reload, and the one that the address names.
export function restore() {
  const kept = JSON.parse(sessionStorage.getItem(KEY) || "[]");
  const linked = location.hash.slice(1);
  if (linked && !kept.some(({ id }) => id === linked)) kept.push({ id: linked, name: linked });
  for (const { id, name } of kept) add({ id, name });
}

// Say what is wrong with the connection; an empty text when nothing is.
export function connected(text) {
  connection = text;
  summarise();
}

function summarise() {
  const count = (status) => entries.filter((entry) => statusOf(entry) === status).length;
  const [done, failed] = [count("completed"), count("failed")];
  const counted = entries.length > 0 && `${done} of ${entries.length} completed`;
  const text = [counted, failed && `${failed} failed`, connection].filter(Boolean).join(", ");
  const summary = document.querySelector("#summary");
  if (summary.textContent !== text) summary.textContent = text;
  document.querySelector("#jobs").hidden = entries.length === 0;
  document.querySelector("#empty").hidden = entries.length > 0;
  document.querySelector("#clear").hidden = done + failed === 0;
}

const controls = (row) => [...row.querySelectorAll("a[href], button")];
const keyOf = (control) => control.dataset.act || control.href;
