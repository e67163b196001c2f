// A short message at the foot of the page, with an undo for as long as it stays.

import { $ } from "./dom.js";

const MILLISECONDS = 8000;
let finish = () => {};
let timer;

/** Show `text`; `undo` is offered, and `done` is called once it can no longer be undone. */
export function toast(text, undo, done = () => {}) {
  finish();
  $("toast-text").textContent = text;
  $("toast-undo").hidden = !undo;
  $("toast").hidden = false;
  const end = () => {
    clearTimeout(timer);
    finish = () => {};
    $("toast").hidden = true;
  };
  finish = () => { end(); done(); };
  $("toast-undo").onclick = async () => {
    end();
    try {
      await undo();
    } catch (problem) {
      toast(problem.message);
    }
  };
  const wait = () => { clearTimeout(timer); timer = setTimeout(() => finish(), MILLISECONDS); };
  // Whoever is about to use it has all the time.
  $("toast").onpointerenter = () => clearTimeout(timer);
  $("toast").onpointerleave = wait;
  wait();
}
