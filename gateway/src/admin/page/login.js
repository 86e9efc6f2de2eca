// Getting in and out.

import * as calls from "./calls.js";
import { $, busy, say } from "./dom.js";

// Shows the form, or the page.
function show(isIn) {
  $("login").hidden = isIn;
  $("main").hidden = !isIn;
  $("logout").hidden = !isIn;
  $("pulse").hidden = !isIn;
  if (!isIn) {
    document.querySelectorAll("dialog[open]").forEach((dialog) => dialog.close());
    $("password").value = "";
    $("password").focus();
  }
}

// Calls `begin` with every session and `end` after it.
export function start(begin, end) {
  const enter = () => {
    say($("login-problem"), "");
    show(true);
    begin();
  };
  const leave = (why) => {
    end();
    show(false);
    say($("login-problem"), why);
  };

  $("login-form").addEventListener("submit", (event) => {
    event.preventDefault();
    say($("login-problem"), "");
    busy(event.submitter, async () => {
      try {
        await calls.login($("password").value);
        enter();
        $("main").focus();
      } catch (error) {
        say($("login-problem"), error.message);
        $("password").select();
      }
    });
  });
  $("logout").addEventListener("click", async () => {
    await calls.logout().catch(() => {});
    leave("");
  });
  calls.signals.addEventListener("ended", () => {
    if (!$("main").hidden) leave("The session is over.");
  });
  calls.resume().then((isIn) => (isIn ? enter() : leave("")), (error) => leave(error.message));
}
