// A request: the form that is sent, and the same as commands for a terminal.

import { $ } from "./dom.js";
import { quote, slug } from "./share.js";

const OPTIONS = { alpha: "--alpha", detail: "--detail", weight: "--weight", style_size: "--style-size",
  size: "--size", refine: "--refine" };

/**
 * Return { form, ordered, name, masks, curl, cli, python }: the form, its styles in the order of
 * the API, a name for the result, and what gives the same result without this page.
 */
export async function describe({ content, styles, controls, masksOf }, refine) {
  const { picture } = content;
  // The API takes files first; shares of nothing are left out, as it asks for more than 0.
  const some = styles.filter((style) => style.weight > 0.004);
  const used = some.length ? some : styles.slice(0, 1);
  const ordered = [...used.filter((style) => !style.id), ...used.filter((style) => style.id)];
  const masks = ordered.length === 2 ? await masksOf(ordered) : [];
  const parts = [["content", picture.sent, picture.name]];
  for (const style of ordered) {
    parts.push(style.id ? ["style_id", style.id] : ["style", style.blob, style.fileName]);
  }
  if (ordered.length > 1) ordered.forEach((style) => parts.push(["weight", style.weight.toFixed(3)]));
  masks.forEach((blob, i) => parts.push(["mask", blob, `mask-${i + 1}.png`]));
  parts.push(...controls.fields());
  // Smaller contents keep their size; one that could not be measured here is measured there.
  const longest = Number($("size").value);
  const larger = !content.readable || Math.max(picture.width, picture.height) > longest;
  if (larger) parts.push(["size", String(longest)]);
  if (refine) parts.push(["refine", String(refine)]);
  const names = used.map((style) => slug(style.name)).join("-");
  const name = `${slug(picture.stem) || "picture"}-${names}`.slice(0, 100);
  const commands = { curl: curl(parts, name), cli: commandLine(parts, ordered, name), python: python(parts, name) };
  return { form: formOf(parts), ordered, name, masks, ...commands };
}

function formOf(parts) {
  const form = new FormData();
  for (const [field, value, ...fileName] of parts) form.append(field, value, ...fileName);
  form.append("format", "png");
  return form;
}

const address = () => new URL(".", document.baseURI).href;

function curl(parts, name) {
  const words = parts.flatMap(([field, value, file]) => ["-F", quote(`${field}=${file ? `@${file}` : value}`)]);
  return ["curl", ...words, quote(`${address()}v1/stylize`), "-o", quote(`${name}.png`)].join(" ");
}

/** Return the arguments of the command line; saved styles go by their names. */
function commandLine(parts, ordered, name) {
  const named = (field) => parts.filter((part) => part[0] === field).map((part) => quote(part[2]));
  const words = ["adain", "stylize", ...named("content"), ...named("style")];
  for (const { id, name: saved } of ordered) if (id) words.push("--saved", quote(saved));
  for (const [field, value] of parts) if (field in OPTIONS) words.push(`${OPTIONS[field]}`, value);
  if (parts.some(([field]) => field === "preserve_color")) words.push("--preserve-color");
  for (const mask of named("mask")) words.push("--mask", mask);
  return [...words, "-o", quote(`${name}.png`)].join(" ");
}

/** Return a program with the Python client. */
function python(parts, name) {
  const text = (value) => JSON.stringify(value);
  const paths = (field) => parts.filter((part) => part[0] === field).map((part) => `Path(${text(part[2])})`);
  const values = (field) => parts.filter((part) => part[0] === field).map((part) => part[1]);
  const given = [`    ${paths("content")[0]},`, `    [${paths("style").join(", ")}],`];
  if (values("style_id").length) given.push(`    style_ids=[${values("style_id").map(text).join(", ")}],`);
  if (paths("mask").length) given.push(`    masks=[${paths("mask").join(", ")}],`);
  if (values("weight").length) given.push(`    weight=[${values("weight").join(", ")}],`);
  for (const [field, value] of parts) {
    if (field === "preserve_color") given.push("    preserve_color=True,");
    else if (field in OPTIONS && field !== "weight") given.push(`    ${field}=${value},`);
  }
  return ["from pathlib import Path", "", "from app.client import Client", "",
    `result = Client(${text(address())}).stylize(`, ...given, ")",
    `Path(${text(`${name}.png`)}).write_bytes(result.picture)`].join("\n");
}
