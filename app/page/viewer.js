// The picture before and after: compared by a slider, fitted to the page or at 100 %.

import { $ } from "./dom.js";
import { t } from "./language.js";

export class Viewer {
  constructor() {
    $("split").oninput = () => this.split($("split").valueAsNumber);
    $("zoom").onclick = () => this.zoom($("zoom").getAttribute("aria-pressed") !== "true");
  }

  /** Show a new content; one that the browser cannot read shows nothing until it is painted. */
  async showBefore(url) {
    this.hideAfter();
    this.content = url;
    await this.showLeft();
    if (url && !this.compared) this.measure($("before"));
  }

  /** Show a result in place of the content, to compare the current one with it; none ends that. */
  async compare(blob) {
    if (this.compared) URL.revokeObjectURL(this.compared);
    this.compared = blob && URL.createObjectURL(blob);
    $("before").alt = blob ? t("The result to compare with") : t("The picture as it was");
    await this.showLeft();
    $("split").hidden = $("divider").hidden = $("after").hidden || $("before").hidden;
    $("split").value = blob ? 50 : 0;
    this.split($("split").valueAsNumber);
  }

  async showLeft() {
    const url = this.compared ?? this.content;
    $("before").hidden = !url;
    if (!url) return;
    $("before").src = url;
    await $("before").decode().catch(() => {});
  }

  /**
   * Show a result over the content; the one before it stays until this one can be drawn. A preview
   * is smaller, and shown in the size of what was there.
   */
  async showAfter(blob, { preview = false } = {}) {
    const url = URL.createObjectURL(blob);
    const image = new Image();
    image.src = url;
    await image.decode();
    const old = $("after").src;
    $("after").src = url;
    $("after").hidden = false;
    if (old.startsWith("blob:")) URL.revokeObjectURL(old);
    $("split").hidden = $("divider").hidden = $("before").hidden;
    if (!preview) this.measure(image);
    this.split($("split").valueAsNumber);
  }

  hideAfter() {
    $("after").hidden = $("split").hidden = $("divider").hidden = true;
  }

  measure({ naturalWidth, naturalHeight }) {
    $("frame").style.setProperty("--width", naturalWidth);
    $("frame").style.setProperty("--height", naturalHeight);
  }

  split(percent) {
    $("frame").style.setProperty("--split", `${percent}%`);
  }

  zoom(actual) {
    $("viewer").classList.toggle("actual", actual);
    $("zoom").setAttribute("aria-pressed", actual);
  }
}
