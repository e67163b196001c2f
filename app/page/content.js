// The content: the picture to paint, as it was opened, and as it is sent in the size of the result.

import { convertByService } from "./api.js";
import { $ } from "./dom.js";
import { readPicture, shrinkLongest } from "./pictures.js";

export class Content {
  #before = null; // what was there before a file that only the server can read

  constructor(viewer) {
    this.viewer = viewer;
    this.picture = null; // as readPicture returns it, with `sent`, `sentSize` and `url`
  }

  /** Whether the browser can read it, and so knows its size. */
  get readable() {
    return Boolean(this.picture?.bitmap);
  }

  /** Open a file; `result`, of what was there, comes back with it if this is no picture. */
  async open(file, name, result) {
    const picture = await readPicture(file, name);
    picture.foreign = !picture.bitmap;
    this.#before = picture.bitmap ? null : { picture: this.picture, result };
    this.picture = picture;
    await this.fit();
  }

  /** Note that the server could read it. */
  accept() {
    this.#before = null;
  }

  /** Bring back what was there before a file that is no picture; return its result, or null. */
  async restore() {
    if (!this.#before) return undefined;
    const { picture, result } = this.#before;
    this.#before = null;
    this.picture = picture;
    if (picture) await this.viewer.showBefore(picture.url);
    return result;
  }

  /** Make the file that is sent, and shown as it was, in the size of the result. */
  async fit() {
    const picture = this.picture;
    const longest = Number($("size").value);
    if (picture.foreign) await this.#convert(longest);
    picture.sent = await shrinkLongest(picture, longest);
    if (picture.url) URL.revokeObjectURL(picture.url);
    picture.url = picture.bitmap && URL.createObjectURL(picture.sent);
    const factor = Math.min(1, longest / Math.max(picture.width, picture.height));
    picture.sentSize = [picture.width, picture.height].map((n) => Math.max(1, Math.round(n * factor)));
    await this.viewer.showBefore(picture.url);
  }

  /** Let the service read what the browser cannot, such as HEIC; it stays as it is where that fails. */
  async #convert(longest) {
    const { picture } = this;
    try {
      const { bitmap, width, height } = await readPicture(await convertByService(picture.file, longest));
      Object.assign(picture, { bitmap, width, height });
    } catch {
      // The request to paint it will tell why.
    }
  }
}
