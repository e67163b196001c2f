// Painting: one request at a time, what is shown of its way, and the result.

import { stylize } from "./api.js";
import { $, showError } from "./dom.js";
import { digits, t } from "./language.js";

export class Painting {
  #asked = null; // the AbortController of the request in work
  #enough = null; // the AbortController that ends its refinement with the picture so far

  /** `onResult` hears of each result that is painted. */
  constructor(viewer, controls, onResult) {
    Object.assign(this, { viewer, controls, onResult });
    this.result = null; // { blob, name, curl, cli, python, masks } of the picture that is shown
    $("cancel").onclick = () => this.cancel();
    $("enough").onclick = () => this.#enough.abort();
  }

  cancel() {
    this.#asked?.abort();
  }

  /** Forget the result, as there is another content. */
  clear() {
    this.cancel();
    this.result = null;
    $("export").hidden = true;
  }

  /** Show a result again. */
  async show(result) {
    this.result = result;
    await this.viewer.showAfter(result.blob);
    $("export").hidden = false;
  }

  /**
   * Paint what `describe` returns, `refine` seconds longer where that is to make the picture better.
   * Return null, or { problem, request } where it failed.
   */
  async paint(describe, refine) {
    this.cancel();
    showError("render-error");
    const asked = (this.#asked = new AbortController());
    this.#enough = new AbortController();
    $("cancel").hidden = false;
    $("again").hidden = $("refine").hidden = true;
    let request, failure = null;
    const shown = (act) => (...news) => this.#asked === asked && act(...news);
    try {
      request = await describe(refine);
      const { blob, seconds } = await stylize(request.form, {
        signal: asked.signal,
        enough: this.#enough.signal,
        onStage: shown(showStage),
        onPreview: refine ? shown((fraction, preview) => this.#showPreview(fraction, preview)) : null,
      });
      if (this.#asked !== asked) return null; // a later change is being painted
      const { name, masks, curl, cli, python } = request;
      await this.show({ blob, name, masks, curl, cli, python });
      this.onResult(this.result);
      $("refine").hidden = !this.controls.refineSeconds;
      setState("done", t("Painted in {n} seconds.", { n: digits(seconds, 1) }));
    } catch (problem) {
      if (this.#asked !== asked) return null;
      if (problem.name === "AbortError") setState("cancelled", t("Cancelled."));
      else failure = { problem, request };
      if (refine && this.result) await this.viewer.showAfter(this.result.blob); // for a preview
      $("again").hidden = false;
    }
    this.#asked = null;
    $("cancel").hidden = $("enough").hidden = true;
    return failure;
  }

  /** Show a picture on its way to be better. */
  #showPreview(fraction, blob) {
    this.viewer.showAfter(blob, { preview: true });
    showStage("refining");
    $("status").textContent = t("Refining… {n} %", { n: Math.round(100 * fraction) });
  }
}

function showStage(stage, amount) {
  const texts = {
    uploading: t("Uploading… {n} %", { n: Math.round(100 * (amount ?? 0)) }),
    queued: amount ? t("In the queue, {n} before you…", { n: amount }) : t("In the queue…"),
    painting: t("Painting…"),
    refining: t("Refining…"),
  };
  setState(stage, texts[stage]);
  $("enough").hidden = stage !== "refining";
}

export function setState(state, text) {
  document.body.dataset.state = state;
  $("status").textContent = text;
}
