// A data table whose rows the page builds. The macro `data_table` of shell.html makes the empty
// table, its sortable headers, and the texts for "empty" and "loading".

import { element } from "./elements.js";

const collator = new Intl.Collator("en", { numeric: true });
const compare = (one, other) =>
  (typeof one === "number" ? one - other : collator.compare(one, other));

// A cell. `title` is its label on a narrow screen. With `heads` it is the header of its row.
export function cell(title, children, { heads = false } = {}) {
  return element(heads ? "th" : "td", {
    "data-title": title, role: heads ? "rowheader" : "cell", scope: heads ? "row" : undefined, children,
  });
}

// A button in a row. The accessible name contains the row's object.
export function rowAction(action, text, object, kind = "plain") {
  return element("button", {
    type: "button", class: kind, "data-act": action, text, "aria-label": `${text}: ${object}` });
}

const controls = (row) => [...row.querySelectorAll("a[href], button")];
const keyOf = (control) => control.dataset.act || control.href;

// The table with this id. The newest item is the first row, unless the user sorts.
//   cells(item)        returns the cells of its row
//   sortBy             { column title: item => number or text }
//   act(action, item)  is called when a row's button is pressed
//   heading            has the focus after the last row is removed
export class DataTable {
  #rows = new Map();
  #shown = new WeakMap();
  #sorted = null; // { title, sign }

  constructor(id, { cells, sortBy, act, heading }) {
    this.table = document.getElementById(id);
    this.body = this.table.tBodies[0];
    Object.assign(this, { cells, sortBy, heading });
    this.body.addEventListener("click", ({ target }) => {
      const button = target.closest("[data-act]");
      if (button) act(button.dataset.act, this.#itemOf(button));
    });
    this.table.tHead.addEventListener("click", ({ target }) => {
      const header = target.closest(".sort")?.closest("th");
      if (header) this.#sort(header);
    });
  }

  get items() {
    return [...this.#rows.keys()];
  }

  has(item) {
    return this.#rows.has(item);
  }

  add(item) {
    const row = element("tr", { role: "row" });
    this.#rows.set(item, row);
    this.body.prepend(row);
    this.update(item);
    this.setLoading(false);
  }

  // Build the row again if its content has changed. The focus stays on the same control.
  update(item) {
    const row = this.#rows.get(item);
    const made = this.cells(item);
    const content = made.map((each) => each.outerHTML).join("");
    if (content === this.#shown.get(row)) return;
    this.#shown.set(row, content);
    const focused = row.contains(document.activeElement) && keyOf(document.activeElement);
    row.replaceChildren(...made);
    if (focused) this.control(item, focused)?.focus();
    if (this.#sorted) this.#arrange();
  }

  // Remove the row. A focus inside moves to the next row.
  remove(item) {
    const row = this.#rows.get(item);
    const next = row.nextElementSibling || row.previousElementSibling;
    const focused = row.contains(document.activeElement);
    row.remove();
    this.#rows.delete(item);
    this.setLoading(false);
    if (focused) ((next && controls(next)[0]) || this.heading).focus();
  }

  // Show the text for "loading" while there are no rows yet.
  setLoading(loading) {
    const empty = this.#rows.size === 0;
    this.table.hidden = empty;
    document.getElementById(`${this.table.id}-loading`).hidden = !(empty && loading);
    document.getElementById(`${this.table.id}-empty`).hidden = !empty || loading;
  }

  // Return the control of an item's row: a link by its address, a button by its action.
  control(item, key) {
    return controls(this.#rows.get(item)).find((each) => keyOf(each) === key);
  }

  #itemOf(target) {
    const row = target.closest("tr");
    return this.items.find((item) => this.#rows.get(item) === row);
  }

  // Sort up, then down, then newest first again.
  #sort(header) {
    const before = header.getAttribute("aria-sort");
    for (const each of this.table.querySelectorAll("[aria-sort]")) each.removeAttribute("aria-sort");
    const order = { ascending: "descending", descending: null }[before];
    const after = order === undefined ? "ascending" : order;
    if (after) header.setAttribute("aria-sort", after);
    const title = header.dataset.title;
    this.#sorted = after && { title, sign: after === "ascending" ? 1 : -1 };
    this.#arrange();
  }

  #arrange() {
    const items = this.items.reverse();
    if (this.#sorted) {
      const { title, sign } = this.#sorted;
      const value = this.sortBy[title];
      items.sort((one, other) => sign * compare(value(one), value(other)));
    }
    const rows = items.map((item) => this.#rows.get(item));
    if (rows.every((row, index) => row === this.body.rows[index])) return;
    const focused = document.activeElement; // a moved element loses the focus
    this.body.append(...rows);
    if (this.body.contains(focused)) focused.focus({ preventScroll: true });
  }
}
