// The results of before, kept in this browser: shown again, compared, and used as styles.

import { $, element } from "./dom.js";
import { t } from "./language.js";
import { addRecord, deleteRecord, readRecords } from "./storage.js";

export const RESULT_TYPE = "application/x-adain-result";
const MAX_RESULTS = 24;
const MAX_BYTES = 200e6;

/**
 * A result is { blob, name, masks, curl, cli, python, file, fileName, controls, styles, strokes }: the
 * picture and the ways to make it again, the content and what was set. `results` are the oldest first.
 */
export class History {
  /** `show` brings a result back; `compare` shows one beside the current one, or none. */
  constructor({ show, compare }) {
    Object.assign(this, { show, compare });
    this.results = [];
    this.urls = new WeakMap();
    this.current = null;
    this.compared = null;
    $("undo").onclick = () => this.step(-1);
    $("redo").onclick = () => this.step(1);
    $("history-clear").onclick = () => this.clear();
  }

  /** Show what was kept in earlier visits. */
  async load() {
    // A browser may keep nothing, in a private window: then there is this visit alone.
    this.results = [...(await readRecords().catch(() => [])), ...this.results];
    this.update();
  }

  /** Keep a result, and forget the oldest where there are too many. */
  async add(result) {
    this.results.push(result);
    this.current = result;
    const size = ({ blob, file }) => blob.size + file.size;
    let bytes = this.results.reduce((sum, each) => sum + size(each), 0);
    while (this.results.length > MAX_RESULTS || (bytes > MAX_BYTES && this.results.length > 1)) {
      bytes -= size(this.results[0]);
      this.forget(this.results[0]);
    }
    this.update();
    result.key = await addRecord(result).catch(() => undefined);
    if (!this.results.includes(result)) this.forget(result); // meanwhile
  }

  forget(result) {
    this.results = this.results.filter((each) => each !== result);
    URL.revokeObjectURL(this.urls.get(result));
    if (this.compared === result) this.setCompared(null);
    if (result.key !== undefined) deleteRecord(result.key).catch(() => {});
  }

  clear() {
    [...this.results].forEach((each) => this.forget(each));
    this.update();
  }

  /** The result that was dragged from the list. */
  find(transfer) {
    const index = transfer.getData(RESULT_TYPE);
    return index ? this.results[Number(index)] : undefined;
  }

  /** Go to the result before the current one, or after it. */
  async step(by) {
    const next = this.results[this.results.indexOf(this.current) + by];
    if (next) await this.open(next);
  }

  async open(result) {
    this.current = result;
    this.update();
    await this.show(result);
  }

  /** Show a result beside the current one, instead of the content; null ends that. */
  setCompared(result) {
    if (this.compared === result) return;
    this.compared = result;
    this.compare(result);
    this.update();
  }

  update() {
    const place = this.results.indexOf(this.current);
    $("undo").disabled = place < 1;
    $("redo").disabled = place < 0 || place === this.results.length - 1;
    $("history").hidden = !this.results.length;
    $("results").replaceChildren(...this.results.map((result, i) => this.makeTile(result, i)).reverse());
  }

  makeTile(result, index) {
    if (!this.urls.has(result)) this.urls.set(result, URL.createObjectURL(result.blob));
    const label = `${index + 1}: ${result.name}`;
    const image = element("img", { src: this.urls.get(result), alt: label, loading: "lazy", draggable: true });
    image.ondragstart = ({ dataTransfer }) => dataTransfer.setData(RESULT_TYPE, String(index));
    const open = element("button", { type: "button", className: "tile" }, image);
    open.setAttribute("aria-pressed", result === this.current);
    open.onclick = () => this.open(result);
    const tile = element("li", {}, open);
    if (result !== this.current && this.current) {
      const compared = result === this.compared;
      const compare = element("button", { type: "button", className: "add", "aria-pressed": compared }, "⇔");
      compare.setAttribute("aria-label", t("Compare with {name}", { name: label }));
      compare.onclick = () => this.setCompared(compared ? null : result);
      tile.append(compare);
    }
    return tile;
  }
}
