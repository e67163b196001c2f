// The picture before and after: compared by a slider, fitted to the page or at 100 %.

import { $ } from "./dom.js";

export class Viewer {
  constructor() {
    $("split").oninput = () => this.split($("split").valueAsNumber);
    $("zoom").onclick = () => this.zoom($("zoom").getAttribute("aria-pressed") !== "true");
  }

  /** Show a new content; one that the browser cannot read shows nothing until it is painted. */
  async showBefore(url) {
    this.hideAfter();
    this.readable = Boolean(url);
    $("before").hidden = !url;
    if (!url) return;
    $("before").src = url;
    await $("before").decode().catch(() => {});
    this.measure($("before"));
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
    $("split").hidden = $("divider").hidden = !this.readable;
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
