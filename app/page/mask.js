// Regions: a brush that gives parts of the picture to the second of two styles.

import { $ } from "./dom.js";
import { toBlob } from "./pictures.js";

const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const KEY_STEP = 0.03;
const TINT = "#e0218a";

export class Mask {
  /** `onChange` is called after each stroke. */
  constructor(onChange) {
    this.onChange = onChange;
    this.canvas = $("mask");
    this.strokes = []; // { index, size, points }: places and sizes in parts of the picture
    this.place = [0.5, 0.5];
    this.canvas.onpointerdown = (event) => this.begin(event);
    this.canvas.onpointermove = (event) => this.showRing(this.at(event));
    this.canvas.onpointerleave = () => { $("brush-ring").hidden = true; };
    this.canvas.onkeydown = (event) => this.onKey(event);
    this.canvas.onfocus = () => this.showRing(this.place);
    this.canvas.onblur = () => { $("brush-ring").hidden = true; };
    $("mask-undo").onclick = () => { this.strokes.pop(); this.changed(); };
    $("mask-clear").onclick = () => { this.strokes = []; this.changed(); };
    $("paint-regions").onclick = () => this.open(this.canvas.hidden);
    $("brush-size").oninput = () => this.showSize();
    this.showSize();
  }

  /** Show the brush, or put it away; what is painted stays. */
  open(open) {
    this.canvas.hidden = $("brush").hidden = !open;
    $("paint-regions").setAttribute("aria-pressed", open);
    if (!open) return;
    this.canvas.width = Math.min(1024, $("frame").clientWidth * devicePixelRatio);
    this.canvas.height = (this.canvas.width * $("frame").clientHeight) / $("frame").clientWidth;
    this.draw(this.canvas, TINT);
  }

  /** Forget all strokes: they belong to a picture that is gone. */
  reset() {
    this.strokes = [];
    this.open(false);
    this.showState();
  }

  /** Bring back the strokes of a result of before; nothing is painted. */
  restore(strokes) {
    this.strokes = [...strokes];
    this.draw(this.canvas, TINT);
    this.showState();
  }

  get empty() {
    return !this.strokes.length;
  }

  /** Return two masks as PNG files: where the first style goes, and where the second. */
  async files(width, height) {
    const second = newCanvas(width, height);
    this.draw(second, "white");
    const files = [];
    for (const index of [0, 1]) {
      const canvas = newCanvas(width, height);
      const context = canvas.getContext("2d");
      context.fillStyle = "black";
      context.fillRect(0, 0, width, height);
      context.drawImage(second, 0, 0);
      if (index === 0) {
        context.globalCompositeOperation = "difference";
        context.fillStyle = "white";
        context.fillRect(0, 0, width, height);
      }
      files.push(await toBlob(canvas, "image/png"));
    }
    return files;
  }

  begin(event) {
    if (event.button) return;
    this.canvas.setPointerCapture(event.pointerId);
    const stroke = this.newStroke(this.at(event));
    const move = (moved) => {
      for (const each of moved.getCoalescedEvents?.() ?? [moved]) stroke.points.push(this.at(each));
      this.draw(this.canvas, TINT);
    };
    const end = () => {
      this.canvas.removeEventListener("pointermove", move);
      this.changed();
    };
    this.canvas.addEventListener("pointermove", move);
    this.canvas.addEventListener("pointerup", end, { once: true });
    this.draw(this.canvas, TINT);
  }

  newStroke(point) {
    const index = Number(document.querySelector("input[name=brush]:checked").value);
    const stroke = { index, size: this.size, points: [point] };
    this.strokes.push(stroke);
    return stroke;
  }

  onKey(event) {
    if (KEYS[event.key]) {
      this.place = this.place.map((p, i) => Math.min(1, Math.max(0, p + KEY_STEP * KEYS[event.key][i])));
      if (event.shiftKey) this.newStroke(this.place);
      this.showRing(this.place);
    } else if (event.key === " " || event.key === "Enter") {
      this.newStroke(this.place);
    } else return;
    event.preventDefault();
    if (event.shiftKey || !KEYS[event.key]) this.changed();
  }

  /** Where a pointer is, in parts of the picture. */
  at({ clientX, clientY }) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return [(clientX - left) / width, (clientY - top) / height];
  }

  /** The diameter of the brush, in parts of the picture's width. */
  get size() {
    return $("brush-size").valueAsNumber / 100;
  }

  draw(canvas, color) {
    const context = canvas.getContext("2d");
    const { width, height } = canvas;
    context.clearRect(0, 0, width, height);
    Object.assign(context, { lineCap: "round", lineJoin: "round", strokeStyle: color });
    for (const { index, size, points } of this.strokes) {
      context.globalCompositeOperation = index ? "source-over" : "destination-out";
      context.lineWidth = size * width;
      context.beginPath();
      context.moveTo(points[0][0] * width, points[0][1] * height);
      // A line to where it began: a single point is a dot.
      for (const [x, y] of points) context.lineTo(x * width, y * height);
      context.stroke();
    }
    context.globalCompositeOperation = "source-over";
  }

  changed() {
    this.draw(this.canvas, TINT);
    this.showState();
    this.onChange();
  }

  showState() {
    $("mask-undo").disabled = $("mask-clear").disabled = this.empty;
  }

  showSize() {
    $("brush-size-value").textContent = `${$("brush-size").value} %`;
    this.showRing(this.place);
    $("brush-ring").hidden = true;
  }

  showRing([x, y]) {
    const ring = $("brush-ring").style;
    ring.setProperty("left", `${100 * x}%`);
    ring.setProperty("top", `${100 * y}%`);
    ring.setProperty("width", `${100 * this.size}%`);
    $("brush-ring").hidden = this.canvas.hidden;
  }
}

function newCanvas(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}
