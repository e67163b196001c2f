// The styles: tiles of the library and of the visitor's own pictures, and those that are chosen.

import { deleteStyle, listStyles, renameStyle, saveStyle } from "./api.js";
import { $, element, showError } from "./dom.js";
import { t } from "./language.js";
import { readPicture, shrinkShortest } from "./pictures.js";
import { toast } from "./toast.js";

export const MAX_CHOSEN = 4;
const MAX_STYLE_SIZE = 1024;
const THUMBNAIL = 256;

/**
 * A style is { key, id, name, thumbnail, blob, weight }: a saved one has an id, an own one a blob.
 * `chosen` are those in use, in order; `onChange` is called whenever they or their weights change.
 */
export class Styles {
  constructor(onChange) {
    this.onChange = onChange;
    this.all = [];
    this.chosen = [];
    this.deleting = new Map();
    this.pad = new Pad(() => this.chosen, () => this.showWeights());
    $("library-again").onclick = () => this.load();
    // A deletion that could still be undone is done when the page goes.
    addEventListener("pagehide", () => this.deleting.forEach((finish) => finish()));
  }

  /** Load the library; own styles and what is chosen stay. */
  async load() {
    $("library-again").hidden = true;
    $("library-state").textContent = t("Loading the styles…");
    try {
      const own = this.all.filter((style) => !style.id);
      const known = new Map(this.all.map((style) => [style.id, style]));
      const listed = (await listStyles()).filter(({ id }) => !this.deleting.has(id));
      const saved = listed.map((each) => Object.assign(known.get(each.id) ?? newSaved(each), each));
      this.all = [...own, ...saved];
      const count = saved.length;
      $("library-state").textContent = count ? "" : t("No style is saved yet: drop your own.");
      this.chosen = this.chosen.filter((style) => this.all.includes(style));
      if (!this.chosen.length && saved.length) this.chosen = [saved[0]];
    } catch (problem) {
      $("library-state").textContent = "";
      $("library-again").hidden = false;
      showError("style-error", problem.message);
    }
    this.show();
    $("styles").classList.remove("loading");
  }

  /** Take a file as a style, and choose it. */
  async addOwn(file) {
    showError("style-error");
    const picture = await readPicture(file);
    const thumbnail = picture.bitmap && (await shrinkShortest(picture, THUMBNAIL));
    const blob = await shrinkShortest(picture, MAX_STYLE_SIZE);
    picture.bitmap?.close();
    const style = { key: crypto.randomUUID?.() ?? String(Math.random()), id: null, blob, weight: 1 };
    Object.assign(style, { name: picture.stem, fileName: picture.name, before: this.chosen });
    style.thumbnail = thumbnail ? URL.createObjectURL(thumbnail) : "page/icon.svg";
    this.all.unshift(style);
    this.choose(style);
    $("library").scrollTop = 0;
  }

  /** Take back an own style that turned out to be no picture; what was chosen before is again. */
  reject(style) {
    this.all = this.all.filter((each) => each !== style);
    this.chosen = style.before;
    this.changed();
  }

  /** Choose the styles of a result of before, where they are still there; nothing is painted. */
  restore(wanted) {
    const found = wanted.map(({ key }) => this.all.find((style) => style.key === key));
    if (found.some((style) => !style)) return;
    found.forEach((style, i) => { style.weight = wanted[i].weight; });
    this.chosen = found;
    this.show();
  }

  /** Use this style alone. */
  choose(style) {
    style.weight = 1;
    this.chosen = [style];
    this.changed();
  }

  /** Add a style to the mix, or take it out; one style always stays. */
  toggle(style) {
    showError("style-error");
    if (this.chosen.includes(style)) {
      if (this.chosen.length > 1) this.chosen = this.chosen.filter((each) => each !== style);
    } else if (this.chosen.length >= MAX_CHOSEN) {
      showError("style-error", t("At most {n} styles mix: take one out first.", { n: MAX_CHOSEN }));
      return;
    } else {
      style.weight = 1;
      this.chosen = [...this.chosen, style];
    }
    this.changed();
  }

  changed() {
    this.show();
    this.onChange();
  }

  show() {
    const old = new Map([...$("library").children].map((tile) => [tile.dataset.key, tile]));
    $("library").replaceChildren(
      ...this.all.map((style) => this.updateTile(old.get(style.key) ?? this.makeTile(style), style)),
    );
    $("chosen").replaceChildren(...this.chosen.map((style) => this.makeChosen(style)));
    $("chosen-title").hidden = !this.chosen.length;
    $("chosen-title").textContent = this.chosen.length > 1 ? t("Mix") : t("Chosen");
    this.pad.show();
  }

  makeTile(style) {
    const tile = element("li", { "data-key": style.key });
    const image = element("img", { src: style.thumbnail, alt: "", loading: "lazy" });
    const use = element("button", { type: "button", className: "tile" }, image, element("span"));
    const add = element("button", { type: "button", className: "add" });
    use.onclick = () => {
      showError("style-error");
      this.choose(style);
    };
    add.onclick = () => this.toggle(style);
    tile.append(use, add);
    return tile;
  }

  updateTile(tile, style) {
    const [use, add] = tile.children;
    const chosen = this.chosen.includes(style);
    use.lastChild.textContent = style.id ? style.name : t("{name} (yours)", style);
    use.setAttribute("aria-pressed", chosen);
    add.textContent = chosen ? "−" : "+";
    add.hidden = !this.chosen.length || (chosen && this.chosen.length === 1);
    add.setAttribute("aria-label", chosen ? t("Take {name} out of the mix", style) : t("Add {name} to the mix", style));
    return tile;
  }

  makeChosen(style) {
    const name = element("bdi", { className: "name" }, style.name);
    const item = element("li", { "data-key": style.key }, element("img", { src: style.thumbnail, alt: "" }), name);
    if (this.chosen.length > 1) item.append(this.makeWeight(style));
    const actions = element("p", { className: "row" });
    const action = (text, act) => {
      const button = element("button", { type: "button", className: "plain" }, text);
      button.setAttribute("aria-label", `${text} ${style.name}`);
      button.onclick = act;
      actions.append(button);
    };
    const edit = (label, save) => () => item.append(this.makeNaming(style, label, save));
    if (style.id) {
      action(t("Rename"), edit(t("New name"), (text) => this.rename(style, text)));
      action(t("Delete"), () => this.remove(style));
    } else {
      action(t("Save to the library"), edit(t("Name"), (text) => this.save(style, text)));
    }
    item.append(actions);
    return item;
  }

  makeWeight(style) {
    const slider = element("input", { type: "range", min: 0, max: 100, className: "weight" });
    slider.value = Math.round(100 * style.weight);
    slider.setAttribute("aria-label", t("Share of {name}", style));
    slider.oninput = () => {
      style.weight = slider.valueAsNumber / 100;
      this.pad.hideKnob();
      this.onChange();
    };
    return slider;
  }

  showWeights() {
    document.querySelectorAll("#chosen .weight").forEach((slider, i) => {
      slider.value = Math.round(100 * this.chosen[i].weight);
    });
    this.onChange();
  }

  /** Return a form for a name under a chosen style; its errors show beside it. */
  makeNaming(style, label, save) {
    $("chosen").querySelectorAll("form").forEach((form) => form.remove());
    const input = element("input", { type: "text", value: style.name.slice(0, 80), maxLength: 80, required: true });
    const error = element("p", { className: "error", role: "alert", hidden: true });
    const cancel = element("button", { type: "button" }, t("Cancel"));
    const submit = element("button", { className: "primary" }, t("Save"));
    const form = element("form", { className: "naming" },
      element("label", {}, `${label} `, input), element("p", { className: "row" }, submit, cancel), error);
    cancel.onclick = () => form.remove();
    form.onsubmit = async (event) => {
      event.preventDefault();
      submit.disabled = true;
      try {
        await save(input.value);
      } catch (problem) {
        error.textContent = problem.message;
        error.hidden = false;
        submit.disabled = false;
      }
    };
    requestAnimationFrame(() => input.select());
    return form;
  }

  async save(style, name) {
    const made = await saveStyle(name, style.blob);
    // It is found again by its id from now on: the server need not read the picture once more.
    Object.assign(style, { id: made.id, name: made.name, thumbnail: made.thumbnail, blob: null });
    toast(t("“{name}” is in the library.", made));
    this.changed();
  }

  async rename(style, name) {
    const before = style.name;
    style.name = (await renameStyle(style.id, name)).name;
    this.show();
    toast(t("“{before}” is now “{name}”.", { before, name: style.name }), async () => {
      style.name = (await renameStyle(style.id, before)).name;
      this.show();
    });
  }

  /** Delete a style once it can no longer be undone; until then it is only hidden. */
  remove(style) {
    const place = this.all.indexOf(style);
    const chosen = this.chosen;
    this.all = this.all.filter((each) => each !== style);
    this.chosen = chosen.filter((each) => each !== style);
    if (!this.chosen.length && this.all.length) this.chosen = [this.all[Math.min(place, this.all.length - 1)]];
    const finish = () => {
      this.deleting.delete(style.id);
      deleteStyle(style.id).catch((problem) => {
        this.all.splice(place, 0, style);
        showError("style-error", t("“{name}” is still there: {message}", { name: style.name, message: problem.message }));
        this.show();
      });
    };
    this.deleting.set(style.id, finish);
    toast(t("“{name}” is deleted.", style), () => {
      this.deleting.delete(style.id);
      this.all.splice(place, 0, style);
      this.chosen = chosen;
      this.changed();
    }, finish);
    this.changed();
    $("toast-undo").focus();
  }
}

const newSaved = ({ id }) => ({ key: id, weight: 1, blob: null });

/** A square with a style at each corner: a point in it is a mix. The sliders do the same by keys. */
class Pad {
  constructor(chosen, onChange) {
    Object.assign(this, { chosen, onChange, box: $("pad"), knob: $("pad-knob") });
    this.box.onpointerdown = (event) => {
      this.box.setPointerCapture(event.pointerId);
      this.box.onpointermove = (moved) => this.mix(moved);
      this.mix(event);
    };
    this.box.onpointerup = this.box.onpointercancel = () => { this.box.onpointermove = null; };
  }

  show() {
    const styles = this.chosen();
    this.box.hidden = styles.length < 2;
    this.box.className = `corners-${styles.length}`;
    const corners = styles.map((style) => element("img", { src: style.thumbnail, alt: "", draggable: false }));
    this.box.replaceChildren(...corners, this.knob);
    this.hideKnob();
  }

  hideKnob() {
    this.knob.hidden = true;
  }

  mix(event) {
    const { left, top, width, height } = this.box.getBoundingClientRect();
    const x = Math.min(1, Math.max(0, (event.clientX - left) / width));
    const y = Math.min(1, Math.max(0, (event.clientY - top) / height));
    this.knob.hidden = false;
    this.knob.style.setProperty("left", `${100 * x}%`);
    this.knob.style.setProperty("top", `${100 * y}%`);
    const weights = {
      2: [1 - x, x],
      3: [(1 - x) * (1 - y), x * (1 - y), y],
      4: [(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y],
    }[this.chosen().length];
    this.chosen().forEach((style, i) => { style.weight = weights[i]; });
    this.onChange();
  }
}
