// The page in the visitor's language: English texts are the keys of a dictionary for each other one.

import { $ } from "./dom.js";

const NAMES = { en: "English", de: "Deutsch", es: "Español", ja: "日本語", ko: "한국어", zh: "中文" };
const CHOICE = "adain-language";
const ATTRIBUTES = ["aria-label", "alt"];

/** Return the language that the visitor has chosen here, or the first of the browser's that is known. */
function choose() {
  const wanted = [chosenHere(), ...navigator.languages].map((tag) => tag?.split("-")[0]);
  return wanted.find((tag) => tag in NAMES) ?? "en";
}

function chosenHere() {
  try {
    return localStorage.getItem(CHOICE);
  } catch {
    return null; // a browser that is told to keep nothing
  }
}

export const language = choose();
const dictionary = language === "en" ? {} : await load();

async function load() {
  // Without its dictionary the page is in English, and works.
  return fetch(`page/languages/${language}.json`).then((response) => response.json()).catch(() => ({}));
}

/** Return a text in the visitor's language, with `values` in place of their names in braces. */
export function t(text, values = {}) {
  return (dictionary[text] ?? text).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Return a number as the visitor writes it, with so many digits after the point. */
export const digits = (number, count) =>
  number.toLocaleString(language, { minimumFractionDigits: count, maximumFractionDigits: count });

/** Translate the document, and offer the other languages. */
export function translateDocument() {
  document.documentElement.lang = language;
  document.title = t(document.title);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { data } = walker.currentNode;
    const text = data.trim().replace(/\s+/g, " ");
    if (text in dictionary) walker.currentNode.data = data.replace(data.trim(), () => t(text));
  }
  for (const name of ATTRIBUTES) {
    for (const each of document.querySelectorAll(`[${name}]`)) {
      each.setAttribute(name, t(each.getAttribute(name).replace(/\s+/g, " ")));
    }
  }
  for (const [tag, name] of Object.entries(NAMES)) $("language").add(new Option(name, tag, false, tag === language));
  $("language").onchange = () => {
    localStorage.setItem(CHOICE, $("language").value);
    location.reload();
  };
}
