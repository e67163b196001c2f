// Taking a result along: as a file, to the clipboard, or as a command that gives the same.

import { $, element, showError } from "./dom.js";
import { t } from "./language.js";
import { convert } from "./pictures.js";

const EXTENSION = { png: "png", jpeg: "jpg", webp: "webp" };

export class Share {
  /** `current` returns { blob, name, masks, curl, cli, python } of the result that is shown. */
  constructor(current) {
    this.current = current;
    $("download").onclick = () => this.guard(() => this.download());
    $("copy").onclick = () => this.guard(() => this.copy());
    $("curl").onclick = () => this.showCurl();
    $("curl-kind").onchange = () => this.showKind();
    $("curl-copy").onclick = () => this.copyCurl();
    $("curl-close").onclick = () => $("curl-dialog").close();
  }

  async guard(action) {
    showError("render-error");
    try {
      await action();
    } catch (error) {
      showError("render-error", error.message);
    }
  }

  async download() {
    const { blob, name } = this.current();
    const format = $("format").value;
    save(await convert(blob, `image/${format}`), `${name}.${EXTENSION[format]}`);
  }

  async copy() {
    if (!navigator.clipboard?.write) {
      throw new Error(t("This browser copies pictures only over https or on localhost: download it."));
    }
    const { blob } = this.current();
    await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
    $("status").textContent = t("The picture is in the clipboard.");
  }

  showCurl() {
    const { masks } = this.current();
    this.showKind();
    $("curl-masks").hidden = !masks.length;
    $("curl-masks").replaceChildren(...masks.map((blob, i) => {
      const button = element("button", { type: "button" }, t("Download {file}", { file: `mask-${i + 1}.png` }));
      button.onclick = () => save(blob, `mask-${i + 1}.png`);
      return button;
    }));
    $("curl-dialog").showModal();
  }

  showKind() {
    $("curl-text").value = this.current()[$("curl-kind").value];
    $("curl-done").textContent = "";
  }

  async copyCurl() {
    $("curl-text").select();
    try {
      await navigator.clipboard.writeText($("curl-text").value);
    } catch {
      document.execCommand("copy"); // where the page is served over plain http
    }
    $("curl-done").textContent = t("Copied.");
  }
}

function save(blob, name) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Return a word as a shell takes it. */
export const quote = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

/** Return text as part of a file name: letters and digits of any script, and hyphens. */
export const slug = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");
