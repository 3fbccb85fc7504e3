// Links and forms that replace a part of the page with server-rendered HTML, like a small subset of
// htmx (docs/adr/0010).
//
//   <form action="/gallery" data-get="#results">       replaces #results with the answer's #results
//   <a href="…" data-get="#more" data-append="#cards">  and appends the answer's #cards to ours
//
// Without JavaScript they work as an ordinary form and link. If the request fails, the browser
// loads the URL as a normal page and shows the error.

const address = () => location.pathname + location.search;

let shown = address();

// Return the parsed page. DOMParser does not run its scripts.
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
    // The focused link is gone: move the focus to the new content.
    if (focused && !from.isConnected) {
      const content = first ?? document.querySelector(from.dataset.get);
      content?.querySelector("a")?.focus({ preventScroll: true });
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

// Reload on back and forward after a form changed the URL. A fragment link does not change `address`.
window.addEventListener("popstate", () => { if (address() !== shown) location.reload(); });
