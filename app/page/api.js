// The service's HTTP API. Every failure is a Problem: what was wrong, and which field caused it.

import { $ } from "./dom.js";
import { t } from "./language.js";

const STYLES = "v1/styles";
const POLL_MILLISECONDS = 250;
const KEY = "adain-key";
const BUSY = ["queue-full", "not-ready"];

export class Problem extends Error {
  constructor(detail, { code = "unreachable", field = "", retryAfter = 1 } = {}) {
    super(detail);
    Object.assign(this, { code, field, retryAfter });
  }

  /** The problem that a response's body and Retry-After describe. */
  static parse(text, retryAfter, status) {
    try {
      const { type, detail, field } = JSON.parse(text);
      const code = type.split(":").pop();
      return new Problem(detail, { code, field, retryAfter: Number(retryAfter) || 1 });
    } catch {
      return new Problem(t("The server answered {status}, and not as this page expects.", { status }));
    }
  }
}

const unreachable = () => new Problem(t("The server cannot be reached. Your pictures are still here."));

const keyHeaders = () => {
  const key = sessionStorage.getItem(KEY);
  return key ? { "X-API-Key": key } : {};
};

let asking = null;

/** Ask the visitor for a key, once for all requests that need one; whether one was given. */
function askKey() {
  asking ??= new Promise((resolve) => {
    $("key-form").onsubmit = () => sessionStorage.setItem(KEY, $("key").value.trim());
    $("key-dialog").onclose = () => {
      asking = null;
      resolve($("key-dialog").returnValue === "given");
    };
    $("key-dialog").returnValue = "";
    $("key-dialog").showModal();
  });
  return asking;
}

async function send(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: keyHeaders() });
  } catch {
    throw unreachable();
  }
  if (response.ok) return response;
  if (response.status === 401 && (await askKey())) return send(path, options);
  throw Problem.parse(await response.text(), response.headers.get("Retry-After"), response.status);
}

/** Return all styles of the library, the newest first. */
export async function listStyles() {
  const styles = [];
  for (let after = 0; after !== null;) {
    const page = await (await send(`${STYLES}?limit=200&after=${after}`)).json();
    styles.push(...page.styles);
    after = page.next;
  }
  return styles.reverse();
}

export async function saveStyle(name, blob) {
  const body = new FormData();
  body.append("name", name);
  body.append("file", blob, "style");
  return (await send(STYLES, { method: "POST", body })).json();
}

export async function renameStyle(id, name) {
  const body = new FormData();
  body.append("name", name);
  return (await send(`${STYLES}/${id}`, { method: "PATCH", body })).json();
}

/** Delete a style; the request outlives the page, should that be closed. */
export const deleteStyle = (id) => send(`${STYLES}/${id}`, { method: "DELETE", keepalive: true });

export const limits = async () => (await send("v1/limits")).json();

/** Return a picture as PNG, `longest` pixels long: the service can read more formats than browsers. */
export async function convertByService(file, longest) {
  const dot = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
  const body = new FormData();
  body.append("content", file);
  body.append("style", await new Promise((resolve) => dot.toBlob(resolve)));
  // Nothing of the style: the content as it is.
  const fields = { alpha: 0, style_size: 64, size: longest, format: "png" };
  for (const [name, value] of Object.entries(fields)) body.append(name, value);
  return (await send("v1/stylize", { method: "POST", body })).blob();
}

/**
 * Stylize: resolves to the picture and the seconds that it took.
 *
 * `onStage` hears "uploading" (with the share sent), "queued" (with how many are before),
 * "painting" and "refining". `onPreview` hears of a refinement: the share done and a small picture;
 * `enough` ends it with the picture so far. A busy server is asked again until `signal` aborts.
 */
export async function stylize(form, { signal, enough, onStage, onPreview }) {
  for (;;) {
    try {
      return await stylizeOnce(form, { signal, enough, onStage, onPreview });
    } catch (problem) {
      if (problem.code === "unauthorized" && (await askKey())) continue;
      if (!BUSY.includes(problem.code)) throw problem;
      onStage("queued");
      await pause(1000 * problem.retryAfter, signal);
    }
  }
}

function stylizeOnce(form, { signal, enough, onStage, onPreview }) {
  // XMLHttpRequest, because fetch does not tell how much of a body is sent.
  const request = new XMLHttpRequest();
  const id = `page-${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
  const begun = performance.now();
  let ended = false;
  const done = new Promise((resolve, reject) => {
    request.open("POST", "v1/stylize");
    request.responseType = "blob";
    const headers = { "X-Request-ID": id, ...keyHeaders() };
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => onStage("uploading", event.loaded / event.total);
    request.upload.onload = () => {
      follow(id, () => ended, onStage);
      if (onPreview) watch(id, () => ended, onPreview);
    };
    enough?.addEventListener("abort", () => {
      send(`v1/requests/${id}`, { method: "DELETE" }).catch(() => {}); // it may just have ended
    });
    request.onload = async () => {
      const seconds = (performance.now() - begun) / 1000;
      if (request.status === 200) return resolve({ blob: request.response, seconds });
      const retryAfter = request.getResponseHeader("Retry-After");
      reject(Problem.parse(await request.response.text(), retryAfter, request.status));
    };
    request.onerror = () => reject(unreachable());
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    if (signal.aborted) return reject(new DOMException("cancelled", "AbortError"));
    onStage("uploading", 0);
    request.send(form);
  });
  return done.finally(() => { ended = true; });
}

/** Ask for the stage of a request until it has ended. */
async function follow(id, ended, onStage) {
  onStage("queued");
  while (!ended()) {
    try {
      const response = await fetch(`v1/requests/${id}`, { headers: keyHeaders() });
      const { stage, ahead } = response.ok ? await response.json() : {};
      if (ended()) return;
      if (stage === "refining") onStage("refining");
      else if (stage === "painting" || stage === "encoding") onStage("painting");
      else if (stage) onStage("queued", ahead);
    } catch {
      return; // the request itself will tell
    }
    await sleep(POLL_MILLISECONDS);
  }
}

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Hear of a refinement, by server-sent events, until its request has ended. */
async function watch(id, ended, onPreview) {
  while (!ended()) {
    const response = await fetch(`v1/requests/${id}/events`, { headers: keyHeaders() }).catch(() => {});
    if (response?.ok) return readEvents(response.body, (event, data) => {
      if (event === "refinement" && !ended()) onPreview(data.fraction, decodeJpeg(data.preview));
    }).catch(() => {}); // the request itself will tell
    await sleep(POLL_MILLISECONDS); // it may not have begun
  }
}

/** Call `hear` with the name and the data of each event; EventSource could not send a key. */
async function readEvents(stream, hear) {
  let rest = "";
  for (const reader = stream.pipeThrough(new TextDecoderStream()).getReader(); ;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split(/\r?\n/).map((line) => line.split(/: ?(.*)/, 2)));
      if (fields.data) hear(fields.event, JSON.parse(fields.data));
    }
  }
}

const decodeJpeg = (base64) =>
  new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], { type: "image/jpeg" });

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new DOMException("cancelled", "AbortError"));
    if (signal.aborted) return stop();
    setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", stop);
  });
}
