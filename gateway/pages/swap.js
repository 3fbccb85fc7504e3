// Links and forms that change a part of the page, with what the server renders for everybody: in
// the manner of htmx, as much of it as these pages need (docs/adr/0010).
//
//   <form action="/gallery" data-get="#results">       puts the answer's #results in place of ours
//   <a href="…" data-get="#more" data-append="#cards">  and adds the answer's #cards to ours
//
// Without this module they are an ordinary form and an ordinary link; when the answer is an error
// they become one again, and the browser shows it.

const address = () => location.pathname + location.search;

let shown = address();

// Return the page at an address. Nothing in it runs.
export async function fetched(url) {
  const answer = await fetch(url, { headers: { Accept: "text/html" } });
  if (!answer.ok) throw new Error(`${answer.status} from ${url}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

export function replace(page, selector) {
  const [ours, theirs] = [document, page].map((each) => each.querySelector(selector));
  if (ours && theirs) ours.replaceWith(theirs);
}

function append(page, selector) {
  const added = [...page.querySelector(selector).children]
    .filter(({ id }) => !id || !document.getElementById(id));
  document.querySelector(selector).append(...added);
  return added[0];
}

async function get(from, url) {
  from.setAttribute("aria-busy", "true");
  try {
    const page = await fetched(url);
    const first = from.dataset.append && append(page, from.dataset.append);
    const focused = from.contains(document.activeElement);
    replace(page, from.dataset.get);
    // The link that was followed is gone: go on reading at what came in its place.
    if (focused && !from.isConnected) {
      const came = first ?? document.querySelector(from.dataset.get);
      came?.querySelector("a")?.focus({ preventScroll: true });
    }
    if (from.matches("form")) history.pushState(null, "", url);
    shown = address();
  } catch {
    location.assign(url);
  } finally {
    from.removeAttribute("aria-busy");
  }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-get]");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  get(link, link.href);
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-get]");
  if (!form) return;
  event.preventDefault();
  const given = [...new FormData(form)].filter(([, value]) => value);
  const query = new URLSearchParams(given).toString();
  get(form, form.getAttribute("action") + (query && `?${query}`));
});

// Back and forward after a form changed the page in place; a link within the page is none of that.
window.addEventListener("popstate", () => { if (address() !== shown) location.reload(); });
