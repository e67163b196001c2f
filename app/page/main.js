// The page: a content, styles and controls; whatever changes, the picture is painted anew.

import { Content } from "./content.js";
import { Controls } from "./controls.js";
import { $, debounce, showError } from "./dom.js";
import { takeFiles } from "./files.js";
import { History } from "./history.js";
import { install, takeShared } from "./install.js";
import { listenToKeys } from "./keys.js";
import { t, translateDocument } from "./language.js";
import { Mask } from "./mask.js";
import { Painting, setState } from "./painting.js";
import { describe } from "./request.js";
import { Share } from "./share.js";
import { Styles } from "./styles.js";
import { Viewer } from "./viewer.js";

const DEBOUNCE_MILLISECONDS = 250;
translateDocument();
const viewer = new Viewer();
const content = new Content(viewer);
const controls = new Controls();
const painting = new Painting(viewer, controls, keep);
const render = debounce(() => paint(), DEBOUNCE_MILLISECONDS);
const styles = new Styles(() => { showRegions(); render(); });
const mask = new Mask(render);
const past = new History({ show: bringBack, compare: (result) => viewer.compare(result?.blob) });

new Share(() => painting.result);

/** Open a file as the content; what was there stays until this one is known to be a picture. */
async function openContent(file, name) {
  showError("content-error");
  if (file.type && !file.type.startsWith("image/")) {
    const values = { name: file.name || file.type, type: file.type };
    return showError("content-error", t("{name} is no picture ({type}): choose a JPEG, PNG, WebP, …", values));
  }
  const { result } = painting;
  painting.clear();
  past.setCompared(null);
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
}

/** Return the masks of two styles, in their order; none where nothing is painted on. */
async function masksOf(ordered) {
  if (!regionsApply()) return [];
  const files = await mask.files(...content.picture.sentSize);
  return ordered.map((style) => files[styles.chosen.indexOf(style)]);
}

/** Keep a result with all that it takes to go on from it. */
function keep(result) {
  content.accept();
  const chosen = styles.chosen.map(({ key, weight }) => ({ key, weight }));
  const { file, name: fileName } = content.picture;
  past.add(Object.assign(result, { file, fileName, controls: controls.state(), styles: chosen, strokes: [...mask.strokes] }));
}

/** Show a result of before, with its content, controls and styles. */
async function bringBack(result) {
  painting.cancel();
  render.cancel();
  controls.restore(result.controls);
  if (result.file !== content.picture?.file) {
    past.setCompared(null);
    await content.open(result.file, result.fileName);
  } else await content.fit();
  styles.restore(result.styles);
  mask.restore(result.strokes);
  showWork();
  await painting.show(result);
  setState("done", t("As it was painted before."));
}

/** Return a result as a file, to be used as a style. */
const asFile = ({ blob, name }) => new File([blob], `${name}.png`, { type: blob.type });

/** Show what went wrong beside what caused it; what cannot be read makes way for what was there. */
function showProblem({ problem, request }) {
  const [kind, number] = (problem.field ?? "").split(" ");
  setState("failed", t("Not painted."));
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
    ? t("Paint where the second style goes; the first keeps the rest.")
    : t("Add a second style (+) to give each its own part of the picture.");
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

takeFiles({
  openContent,
  addStyle: (file) => styles.addOwn(file),
  resultOf: (transfer) => { const found = past.find(transfer); return found && asFile(found); },
});
$("sample").onclick = async () => openContent(await (await fetch("page/sample.webp")).blob(), "harbour.webp");

$("as-style").onclick = () => styles.addOwn(asFile(painting.result));
listenToKeys();
install();

showRegions();
controls.fitLimits();
past.load();
styles.load().then(async () => {
  const shared = await takeShared();
  if (shared) openContent(shared);
  else render();
});
