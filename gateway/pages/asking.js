// Ask before something is done that cannot be undone.

import { element } from "./dom.js";

// Resolve to whether it is wanted. Escape means no, and so does the first button.
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
