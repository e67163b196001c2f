// The page: a content, styles and controls; whatever changes, the picture is painted anew.

import { limits, stylize } from "./api.js";
import { $, debounce, showError } from "./dom.js";
import { Mask } from "./mask.js";
import { readPicture, shrinkLongest } from "./pictures.js";
import { quote, Share, slug } from "./share.js";
import { Styles } from "./styles.js";
import { Viewer } from "./viewer.js";

const DEBOUNCE_MILLISECONDS = 250;
const REFINE_SECONDS = 20;
const viewer = new Viewer();
const render = debounce(() => paint(), DEBOUNCE_MILLISECONDS);
const changed = () => { showRegions(); render(); };
const styles = new Styles(changed);
const mask = new Mask(render);
let content = null; // as readPicture returns it, with `sent` and `url` for the result size
let result = null; // { blob, name, curl, masks } of the picture that is shown
let fallback = null; // what was there before a content that only the server can read
let painting = null; // the AbortController of the request in work
let enough = null; // the AbortController that ends its refinement with the picture so far
let refineSeconds = 0; // that the service offers at most

new Share(() => result);

// The content

/** Open a file as the content; what was there stays until this one is known to be a picture. */
async function openContent(file, name) {
  showError("content-error");
  if (file.type && !file.type.startsWith("image/")) {
    const kind = `${file.name || "This"} is no picture (${file.type}): choose a JPEG, PNG, WebP, …`;
    return showError("content-error", kind);
  }
  const picture = await readPicture(file, name);
  painting?.abort();
  fallback = picture.bitmap ? null : { content, result };
  content = picture;
  result = null;
  $("export").hidden = true;
  mask.reset();
  await fitContent();
  $("welcome").hidden = true;
  $("work").hidden = false;
  showRegions();
  paint();
}

/** Bring back what was there before a content that is no picture. */
async function restoreContent() {
  ({ content, result } = fallback);
  fallback = null;
  $("work").hidden = !content;
  $("welcome").hidden = Boolean(content);
  if (!content) return;
  await viewer.showBefore(content.url);
  if (!result) return render();
  await viewer.showAfter(result.blob);
  $("export").hidden = false;
}

/** Make the file that is sent, and shown as it was, in the size of the result. */
async function fitContent() {
  const longest = Number($("size").value);
  content.sent = await shrinkLongest(content, longest);
  if (content.url) URL.revokeObjectURL(content.url);
  content.url = content.bitmap && URL.createObjectURL(content.sent);
  const factor = Math.min(1, longest / Math.max(content.width, content.height));
  content.sentSize = [content.width, content.height].map((n) => Math.max(1, Math.round(n * factor)));
  await viewer.showBefore(content.url);
}

// Painting

/** Paint; `refine` seconds longer, where that is to make the picture better. */
async function paint(refine = 0) {
  render.cancel(); // this is what was to come
  painting?.abort();
  showError("render-error");
  if (!content || !styles.chosen.length) return;
  const asked = new AbortController();
  painting = asked;
  enough = new AbortController();
  $("cancel").hidden = false;
  $("again").hidden = $("refine").hidden = true;
  let request;
  const shown = (act) => (...news) => painting === asked && act(...news);
  try {
    request = await describe(refine);
    const { blob, seconds } = await stylize(request.form, {
      signal: asked.signal,
      enough: enough.signal,
      onStage: shown(showStage),
      onPreview: refine ? shown(showPreview) : null,
    });
    if (painting !== asked) return;
    await viewer.showAfter(blob);
    result = { blob, name: request.name, curl: request.curl, masks: request.masks };
    fallback = null;
    $("export").hidden = false;
    $("refine").hidden = !refineSeconds;
    setState("done", `Painted in ${seconds.toFixed(1)} seconds.`);
  } catch (problem) {
    if (painting !== asked) return; // a later change is being painted
    if (problem.name === "AbortError") setState("cancelled", "Cancelled.");
    else showProblem(problem, request);
    if (refine && result) await viewer.showAfter(result.blob); // in place of a preview
    $("again").hidden = false;
  }
  painting = null;
  $("cancel").hidden = $("enough").hidden = true;
}

/** Return the request: its form and styles, the same as a curl command, and a name for the result. */
async function describe(refine) {
  const form = new FormData();
  const words = ["curl"];
  const add = (name, value, fileName) => {
    form.append(name, value, ...(fileName ? [fileName] : []));
    words.push("-F", quote(`${name}=${fileName ? `@${fileName}` : value}`));
  };
  // The API takes files first; shares of nothing are left out, as it asks for more than 0.
  const some = styles.chosen.filter((style) => style.weight > 0.004);
  const used = some.length ? some : styles.chosen.slice(0, 1);
  const ordered = [...used.filter((style) => !style.id), ...used.filter((style) => style.id)];
  add("content", content.sent, content.name);
  for (const style of ordered) {
    if (style.id) add("style_id", style.id);
    else add("style", style.blob, style.fileName);
  }
  if (ordered.length > 1) ordered.forEach((style) => add("weight", style.weight.toFixed(3)));
  const masks = [];
  if (regionsApply() && ordered.length === 2) {
    const files = await mask.files(...content.sentSize);
    ordered.forEach((style, i) => {
      masks.push(files[styles.chosen.indexOf(style)]);
      add("mask", masks[i], `mask-${i + 1}.png`);
    });
  }
  add("alpha", String($("alpha").valueAsNumber / 100));
  // A practised style has a detail of its own, which 0 leaves to it.
  const detail = $("detail").valueAsNumber / 100;
  if (detail) add("detail", String(detail));
  if ($("preserve-color").checked) add("preserve_color", "true");
  add("style_size", $("style-size").value);
  // Smaller contents keep their size; one that could not be measured here is measured there.
  const longest = Number($("size").value);
  if (!content.bitmap || Math.max(content.width, content.height) > longest) add("size", String(longest));
  if (refine) add("refine", String(refine));
  form.append("format", "png");
  const names = used.map((style) => slug(style.name)).join("-");
  const name = `${slug(content.stem) || "picture"}-${names}`.slice(0, 100);
  const curl = `${words.join(" ")} ${quote(new URL("v1/stylize", document.baseURI).href)} -o ${quote(`${name}.png`)}`;
  return { form, ordered, name, masks, curl };
}

function showStage(stage, amount) {
  const texts = {
    uploading: `Uploading… ${Math.round(100 * (amount ?? 0))} %`,
    queued: amount ? `In the queue, ${amount} before you…` : "In the queue…",
    painting: "Painting…",
    refining: "Refining…",
  };
  setState(stage, texts[stage]);
  $("enough").hidden = stage !== "refining";
}

/** Show a picture on its way to be better. */
function showPreview(fraction, blob) {
  viewer.showAfter(blob, { preview: true });
  showStage("refining");
  $("status").textContent = `Refining… ${Math.round(100 * fraction)} %`;
}

function setState(state, text) {
  document.body.dataset.state = state;
  $("status").textContent = text;
}

/** Show what went wrong beside what caused it; what cannot be read makes way for what was there. */
function showProblem(problem, request) {
  const [kind, number] = (problem.field ?? "").split(" ");
  setState("failed", "Not painted.");
  if (kind === "content") {
    showError("content-error", problem.message);
    if (fallback) restoreContent();
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

// Controls

function showValues() {
  $("alpha-value").textContent = `${$("alpha").value} %`;
  $("detail-value").textContent = detailInWords($("detail").valueAsNumber);
  $("style-size-value").textContent = $("style-size").value;
}

/** Return how much of the picture is kept: "bold +40" for more of the style, "fine +40" for less. */
function detailInWords(value) {
  if (!value) return "balanced";
  return value < 0 ? `bold +${-value}` : `fine +${value}`;
}

const regionsApply = () => styles.chosen.length === 2 && !mask.empty && content?.bitmap;

function showRegions() {
  const ready = content?.bitmap && styles.chosen.length === 2;
  $("regions").hidden = !ready;
  $("regions-hint").textContent = ready
    ? "Paint where the second style goes; the first keeps the rest."
    : "Add a second style (+) to give each its own part of the picture.";
  if (!ready) mask.open(false);
  styles.chosen.forEach((style, i) => { if (i < 2) $(`brush-${i}`).textContent = style.name; });
}

for (const id of ["alpha", "detail", "style-size"]) $(id).oninput = () => { showValues(); render(); };
$("preserve-color").onchange = render;
$("size").onchange = async () => {
  if (content) await fitContent();
  render();
};
$("cancel").onclick = () => painting?.abort();
$("again").onclick = () => paint();
$("refine").onclick = () => paint(refineSeconds);
$("enough").onclick = () => enough.abort();

/** Offer no size that the service does not paint, and a refinement only where it does that. */
async function fitLimits() {
  const { max_size: largest, max_refine_seconds: most } = await limits().catch(() => ({}));
  for (const option of [...$("size").options]) if (Number(option.value) > largest) option.remove();
  refineSeconds = Math.min(REFINE_SECONDS, most ?? 0);
}

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

showValues();
showRegions();
fitLimits();
styles.load().then(render);
