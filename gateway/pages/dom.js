// Make elements. Text only ever becomes text: nothing that came from elsewhere is read as HTML.

export function element(name, { text, children = [], ...attributes } = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) made.setAttribute(key, value);
  }
  if (text !== undefined) made.textContent = text;
  made.append(...children.filter(Boolean));
  return made;
}

// Return the address if it is one of the web, so that no other scheme gets into a link.
export function webAddress(url) {
  try {
    const { protocol, href } = new URL(url, location.href);
    return protocol === "http:" || protocol === "https:" ? href : undefined;
  } catch {
    return undefined;
  }
}

export function link(url, children, label) {
  return element("a", {
    href: webAddress(url), target: "_blank", rel: "noreferrer", "aria-label": label, children,
  });
}

export function picture(url, alt, size = {}) {
  return element("img", { src: webAddress(url), alt, loading: "lazy", ...size });
}
