// The error text of a form field. The macro `field` of shell.html builds the field.

// Show `text` below the control and announce it; an empty text removes the error.
export function setFieldError(control, text) {
  const line = document.getElementById(`${control.id}-problem`);
  line.textContent = text;
  line.hidden = !text;
  if (!text) {
    control.removeAttribute("aria-invalid");
    return;
  }
  control.setAttribute("aria-invalid", "true");
  control.focus(); // a screen reader reads the error as the description of the focused control
}
