// The dialog in which something is decided, in one step or in several.

import { $, busy, say } from "./dom.js";

const dialog = $("decision");
const button = $("decision-go");

// What is being decided; nothing while the dialog is closed.
let present = null;

export class Decision {
  constructor() {
    present = this;
  }

  // Shows a step: `body` are elements, `go` is what the button says, and `act` what it does. If that fails, the step stays and
  // says why. Whoever has closed the dialog sees no further step.
  step({ title, body, go, danger = false, act }) {
    if (present !== this) return;
    this.act = act;
    say($("decision-title"), title);
    this.tell("");
    $("decision-body").replaceChildren(...body);
    say(button, go);
    button.className = danger ? "danger" : "primary";
    button.disabled = false;
    if (!dialog.open) dialog.showModal();
  }

  // What the button does.
  async go() {
    this.tell("");
    try {
      await busy(button, this.act);
    } catch (error) {
      this.tell(error.message);
    }
  }

  tell(problem) {
    if (present === this) say($("decision-problem"), problem);
  }

  close() {
    if (present === this) dialog.close();
  }
}

$("decision-form").addEventListener("submit", (event) => {
  event.preventDefault();
  present?.go();
});
$("decision-cancel").addEventListener("click", () => dialog.close());
// By then another one may have been opened.
dialog.addEventListener("close", () => {
  if (!dialog.open) present = null;
});
