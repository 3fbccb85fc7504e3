// Build elements. Text from users and the API is set as text, never as HTML.

export function element(name, { text, children = [], ...attributes } = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) made.setAttribute(key, value);
  }
  if (text !== undefined) made.textContent = text;
  made.append(...children.filter(Boolean));
  return made;
}

// Return the URL if its scheme is http or https. Links with other schemes could run scripts.
function webUrl(url) {
  try {
    const { protocol, href } = new URL(url, location.href);
    return protocol === "http:" || protocol === "https:" ? href : undefined;
  } catch {
    return undefined;
  }
}

export function link(url, children, label) {
  return element("a", {
    href: webUrl(url), target: "_blank", rel: "noreferrer", "aria-label": label, children,
  });
}

export function picture(url, alt, size = {}) {
  return element("img", { src: webUrl(url), alt, loading: "lazy", ...size });
}

// A progress bar with an accessible name. Without a value it shows that the end is not known.
export function progressBar(label, value, max) {
  return element("progress", { "aria-label": label, value, max });
}
