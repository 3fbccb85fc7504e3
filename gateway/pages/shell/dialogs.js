// Modal dialogs. The browser keeps the focus inside, and Escape closes the dialog.

import { element } from "./elements.js";

let opened = 0;

// Show a dialog. Resolve to the value of the pressed action, or to "" after Escape.
//   content:  elements between the title and the actions
//   actions:  [{ text, value, kind }]; kind is a class of buttons, such as "plain" or "danger"
//   returnTo: a function that returns the element to focus if the opener no longer exists
// The first action has the focus, so put the harmless action first.
export function openDialog({ title, content = [], actions, returnTo = () => null }) {
  const opener = document.activeElement;
  const prefix = `dialog-${(opened += 1)}`;
  const buttons = actions.map(({ text, value, kind }) =>
    element("button", { type: "button", value, text, class: kind }));
  const dialog = element("dialog", {
    "aria-labelledby": `${prefix}-title`, "aria-describedby": `${prefix}-content`,
    children: [
      element("h2", { id: `${prefix}-title`, text: title }),
      element("div", { id: `${prefix}-content`, children: content }),
      element("div", { class: "actions", children: buttons }),
    ],
  });
  for (const button of buttons) button.addEventListener("click", () => dialog.close(button.value));
  document.body.append(dialog);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      focusAgain(opener, returnTo);
      resolve(dialog.returnValue);
    });
    dialog.showModal();
    buttons[0].focus();
  });
}

// The page may have replaced the opener while the dialog was open.
function focusAgain(opener, returnTo) {
  const target = opener?.isConnected && opener !== document.body ? opener : returnTo();
  (target ?? document.querySelector("main")).focus();
}

// Ask before a destructive action. The title and the consequence must name the object.
export async function confirmed({ title, consequence, verb, returnTo }) {
  const answer = await openDialog({
    title,
    content: [element("p", { text: consequence })],
    actions: [
      { text: "Cancel", value: "no", kind: "plain" }, { text: verb, value: "yes", kind: "danger" },
    ],
    returnTo,
  });
  return answer === "yes";
}
