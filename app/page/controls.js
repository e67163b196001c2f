// The controls: what is shown of them, and the fields that they stand for.

import { $ } from "./dom.js";
import { limits } from "./api.js";
import { t } from "./language.js";

const REFINE_SECONDS = 20;

export class Controls {
  constructor() {
    this.refineSeconds = 0; // that the service offers, up to what the page asks for
  }

  /** Call `changed` when a control changes that is not the size of the result. */
  watch(changed) {
    for (const id of ["alpha", "detail", "style-size"]) {
      $(id).oninput = () => {
        this.show();
        changed();
      };
    }
    $("preserve-color").onchange = changed;
    this.show();
  }

  show() {
    $("alpha-value").textContent = `${$("alpha").value} %`;
    $("detail-value").textContent = detailInWords($("detail").valueAsNumber);
    $("style-size-value").textContent = $("style-size").value;
  }

  /** Return what is set, for `restore`. */
  state() {
    const values = ["alpha", "detail", "style-size", "size"].map((id) => [id, $(id).value]);
    return { ...Object.fromEntries(values), "preserve-color": $("preserve-color").checked };
  }

  /** Set what `state` returned. */
  restore({ "preserve-color": preserve, size, ...values }) {
    for (const [id, value] of Object.entries(values)) $(id).value = value;
    chooseSize(size);
    $("preserve-color").checked = preserve;
    this.show();
  }

  /** Offer the sizes that the service paints, up to its largest, and a refinement only where it does that. */
  async fitLimits() {
    const { max_size: largest, max_refine_seconds: most } = await limits().catch(() => ({}));
    const { options, value: chosen } = $("size");
    const larger = [...options].filter((option) => Number(option.value) > largest);
    for (const option of larger) option.remove();
    if (larger.length && ![...options].some((option) => Number(option.value) === largest)) {
      $("size").add(new Option(largest));
    }
    chooseSize(chosen);
    this.refineSeconds = Math.min(REFINE_SECONDS, most ?? 0);
  }

  /** Return the fields that differ from what the service does by itself, in their order. */
  fields() {
    const fields = [["alpha", String($("alpha").valueAsNumber / 100)]];
    const detail = $("detail").valueAsNumber / 100;
    if (detail) fields.push(["detail", String(detail)]);
    if ($("preserve-color").checked) fields.push(["preserve_color", "true"]);
    fields.push(["style_size", $("style-size").value]);
    return fields;
  }
}

/** Choose a size of the result, or the largest that is offered where that one is not. */
function chooseSize(value) {
  const select = $("size");
  select.value = value;
  if (select.selectedIndex < 0) select.selectedIndex = select.length - 1;
}

/** Return how much of the picture is kept: "bold +40" for more of the style, "fine +40" for less. */
function detailInWords(value) {
  if (!value) return t("balanced");
  return value < 0 ? t("bold +{n}", { n: -value }) : t("fine +{n}", { n: value });
}
