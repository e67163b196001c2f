// The page: a content, styles and controls; whatever changes, the picture is painted anew.

import { Content } from "./content.js";
import { Controls } from "./controls.js";
import { $, debounce, showError } from "./dom.js";
import { Mask } from "./mask.js";
import { Painting, setState } from "./painting.js";
import { describe } from "./request.js";
import { Share } from "./share.js";
import { Styles } from "./styles.js";
import { Viewer } from "./viewer.js";

const DEBOUNCE_MILLISECONDS = 250;
const viewer = new Viewer();
const content = new Content(viewer);
const controls = new Controls();
const painting = new Painting(viewer, controls);
const render = debounce(() => paint(), DEBOUNCE_MILLISECONDS);
const styles = new Styles(() => { showRegions(); render(); });
const mask = new Mask(render);

new Share(() => painting.result);

/** Open a file as the content; what was there stays until this one is known to be a picture. */
async function openContent(file, name) {
  showError("content-error");
  if (file.type && !file.type.startsWith("image/")) {
    const kind = `${file.name || "This"} is no picture (${file.type}): choose a JPEG, PNG, WebP, …`;
    return showError("content-error", kind);
  }
  const { result } = painting;
  painting.clear();
  mask.reset();
  await content.open(file, name, result);
  showWork();
  paint();
}

/** Bring back what was there before a content that is no picture. */
async function restoreContent() {
  const result = await content.restore();
  if (result === undefined) return;
  showWork();
  if (!content.picture) return;
  if (result) await painting.show(result);
  else render();
}

function showWork() {
  $("work").hidden = !content.picture;
  $("welcome").hidden = Boolean(content.picture);
  showRegions();
}

/** Paint; `refine` seconds longer, where that is to make the picture better. */
async function paint(refine = 0) {
  render.cancel(); // this is what was to come
  if (!content.picture || !styles.chosen.length) return painting.cancel();
  const failure = await painting.paint(
    () => describe({ content, styles: styles.chosen, controls, masksOf }, refine), refine);
  if (failure) showProblem(failure);
  else if (painting.result) content.accept();
}

/** Return the masks of two styles, in their order; none where nothing is painted on. */
async function masksOf(ordered) {
  if (!regionsApply()) return [];
  const files = await mask.files(...content.picture.sentSize);
  return ordered.map((style) => files[styles.chosen.indexOf(style)]);
}

/** Show what went wrong beside what caused it; what cannot be read makes way for what was there. */
function showProblem({ problem, request }) {
  const [kind, number] = (problem.field ?? "").split(" ");
  setState("failed", "Not painted.");
  if (kind === "content") {
    showError("content-error", problem.message);
    restoreContent();
  } else if (kind === "style" && number) {
    showError("style-error", problem.message);
    styles.reject(request.ordered[number - 1]);
  } else if (problem.code === "unknown-style") {
    showError("style-error", problem.message);
    styles.load().then(render);
  } else {
    showError("render-error", problem.message);
  }
}

// Regions of two styles

const regionsApply = () => styles.chosen.length === 2 && !mask.empty && content.readable;

function showRegions() {
  const ready = content.readable && styles.chosen.length === 2;
  $("regions").hidden = !ready;
  $("regions-hint").textContent = ready
    ? "Paint where the second style goes; the first keeps the rest."
    : "Add a second style (+) to give each its own part of the picture.";
  if (!ready) mask.open(false);
  styles.chosen.forEach((style, i) => { if (i < 2) $(`brush-${i}`).textContent = style.name; });
}

controls.watch(render);
$("size").onchange = async () => {
  if (content.picture) await content.fit();
  render();
};
$("again").onclick = () => paint();
$("refine").onclick = () => paint(controls.refineSeconds);

// Files: picked, dropped or pasted

for (const button of document.querySelectorAll("[data-pick]")) {
  button.onclick = () => $(`pick-${button.dataset.pick}`).click();
}
for (const [id, open] of [["content", openContent], ["camera", openContent], ["style", (f) => styles.addOwn(f)]]) {
  $(`pick-${id}`).onchange = ({ target }) => {
    if (target.files[0]) open(target.files[0]);
    target.value = ""; // the same file may be chosen again
  };
}
$("sample").onclick = async () => openContent(await (await fetch("page/sample.webp")).blob(), "harbour.webp");

const isStyle = (target) => Boolean(target.closest?.("#styles"));
const open = (file, target) => (isStyle(target) ? styles.addOwn(file) : openContent(file));

addEventListener("dragover", (event) => {
  if (![...event.dataTransfer.types].includes("Files")) return;
  event.preventDefault();
  $("drop-hint").hidden = false;
  $("drop-hint").textContent = isStyle(event.target) ? "Drop as a style" : "Drop as the picture";
});
addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("drop-hint").hidden = true; });
addEventListener("drop", (event) => {
  event.preventDefault(); // a file that misses must not replace the page
  $("drop-hint").hidden = true;
  const [file] = event.dataTransfer.files;
  if (file) open(file, event.target);
});
addEventListener("paste", (event) => {
  const [file] = event.clipboardData.files;
  if (file) open(file, document.activeElement);
});

showRegions();
controls.fitLimits();
styles.load().then(render);
