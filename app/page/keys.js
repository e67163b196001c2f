// What keys do anywhere on the page, and the list of them.

import { $ } from "./dom.js";

/** Return the button that a key presses; the brush has an undo of its own. */
function buttonOf({ key, ctrlKey, metaKey, shiftKey }) {
  if (key === "?") return "help";
  if (!ctrlKey && !metaKey) return null;
  const name = `${shiftKey ? "shift+" : ""}${key.toLowerCase()}`;
  const undo = $("mask").hidden ? "undo" : "mask-undo";
  return { z: undo, "shift+z": "redo", y: "redo", s: "download" }[name] ?? null;
}

export function listenToKeys() {
  $("help").onclick = () => $("help-dialog").showModal();
  $("help-close").onclick = () => $("help-dialog").close();
  addEventListener("keydown", (event) => {
    if (event.target.matches("textarea, input:is([type=text], [type=password])")) return;
    if (document.querySelector("dialog[open]")) return;
    const id = buttonOf(event);
    if (!id || !$(id).checkVisibility()) return;
    event.preventDefault();
    $(id).click();
  });
}
