// Pictures that come in: picked, dropped, pasted, or shared by another app.

import { $ } from "./dom.js";
import { RESULT_TYPE } from "./history.js";
import { t } from "./language.js";

const isStyle = (target) => Boolean(target.closest?.("#styles"));

/** `openContent` and `addStyle` take a file; `resultOf` finds a dragged result, as a file. */
export function takeFiles({ openContent, addStyle, resultOf }) {
  for (const button of document.querySelectorAll("[data-pick]")) {
    button.onclick = () => $(`pick-${button.dataset.pick}`).click();
  }
  for (const [id, open] of [["content", openContent], ["camera", openContent], ["style", addStyle]]) {
    $(`pick-${id}`).onchange = ({ target }) => {
      if (target.files[0]) open(target.files[0]);
      target.value = ""; // the same file may be chosen again
    };
  }
  const open = (file, target) => (isStyle(target) ? addStyle(file) : openContent(file));

  addEventListener("dragover", (event) => {
    const { types } = event.dataTransfer;
    if (!types.includes("Files") && !types.includes(RESULT_TYPE)) return;
    event.preventDefault();
    $("drop-hint").hidden = false;
    $("drop-hint").textContent = isStyle(event.target) ? t("Drop as a style") : t("Drop as the picture");
  });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("drop-hint").hidden = true; });
  addEventListener("dragend", () => { $("drop-hint").hidden = true; });
  addEventListener("drop", (event) => {
    event.preventDefault(); // a file that misses must not replace the page
    $("drop-hint").hidden = true;
    const file = resultOf(event.dataTransfer) ?? event.dataTransfer.files[0];
    if (file) open(file, event.target);
  });
  addEventListener("paste", (event) => {
    const [file] = event.clipboardData.files;
    if (file) open(file, document.activeElement);
  });
}
