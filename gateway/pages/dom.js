// Build elements, and a confirmation dialog. Text from users and the API is set as text, never as HTML.

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

// Ask the user, and resolve to whether the user agrees. Escape cancels. "Cancel" has the focus.
export function confirmed(question, consequence, verb) {
  const no = element("button", { type: "button", class: "plain", text: "Cancel" });
  const yes = element("button", { type: "button", class: "danger", text: verb });
  const dialog = element("dialog", {
    "aria-labelledby": "question", "aria-describedby": "consequence",
    children: [
      element("h2", { id: "question", text: question }),
      element("p", { id: "consequence", text: consequence }),
      element("p", { class: "actions", children: [no, yes] }),
    ],
  });
  document.body.append(dialog);
  no.addEventListener("click", () => dialog.close("no"));
  yes.addEventListener("click", () => dialog.close("yes"));
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    dialog.showModal();
    no.focus();
  });
}
