// A client of the service, for browsers, Node, Deno and Bun. The service itself has it at /client.js.
//
//   const client = new Client("http://127.0.0.1:8000");
//   const { picture } = await client.stylize({ content, styles: [style], alpha: 0.8 });

// Problems that may be over when Retry-After has passed.
const PASSING = ["queue-full", "not-ready", "library-busy"];
const ATTEMPTS = 5;

/**
 * The service's answer where it did not do what was asked (RFC 9457).
 *
 * status: of HTTP. code: stable name of the kind of problem, such as "invalid-parameter". field: the
 * form field that caused it, if one did. limit, value: the bound that was passed, and what passed it,
 * where there are such. retryAfter: seconds after which the request may succeed, or undefined.
 */
export class ProblemError extends Error {
  name = "ProblemError";

  constructor(status, { type = "", detail, field, limit, value } = {}, retryAfter = undefined) {
    super(detail ?? `the server answered ${status}`);
    Object.assign(this, { status, code: type.split(":").pop(), field, limit, value, retryAfter });
  }

  /** Return the problem that a response describes. */
  static async of(response) {
    const problem = await response.json().catch(() => ({}));
    const after = response.headers.get("Retry-After");
    return new ProblemError(response.status, problem, after === null ? undefined : Number(after));
  }
}

export class Client {
  #address;
  #headers;

  /**
   * @param {string} address of the service, with its path where it has one
   * @param {{key?: string}} options one of its API keys, if it has such
   */
  constructor(address, { key } = {}) {
    this.#address = address.endsWith("/") ? address : `${address}/`;
    this.#headers = key === undefined ? {} : { Authorization: `Bearer ${key}` };
  }

  /**
   * Return the content in styles: { picture, recipe, milliseconds, requestId }.
   *
   * @param {object} request
   * @param {Blob} request.content a picture; a File is a Blob
   * @param {Blob[]} request.styles pictures, or practised styles
   * @param {string[]} request.styleIds styles of the library; they come after the files
   * @param {Blob[]} request.masks one for each style, or none
   * @param {object} request.controls all others: fields of POST /v1/stylize, such as alpha, detail,
   *   weight (an array), size, style_size, format, quality
   * @param {{signal?: AbortSignal}} options ends the request
   * @throws {ProblemError} the service could not do it, also not after some attempts where it was busy
   * @throws {TypeError} it cannot be reached
   */
  async stylize({ content, styles = [], styleIds = [], masks = [], ...controls }, { signal } = {}) {
    const parts = [["content", content]];
    for (const style of styles) parts.push(["style", style]);
    for (const mask of masks) parts.push(["mask", mask]);
    for (const id of styleIds) parts.push(["style_id", id]);
    for (const [name, value] of Object.entries(controls)) {
      if (value !== undefined) [value].flat().forEach((each) => parts.push([name, String(each)]));
    }
    const response = await this.#send("v1/stylize", { method: "POST", body: form(parts), signal });
    return {
      picture: await response.blob(),
      recipe: JSON.parse(response.headers.get("X-Recipe")),
      milliseconds: timings(response.headers.get("Server-Timing")),
      requestId: response.headers.get("X-Request-ID"),
    };
  }

  /** Return the styles of the library: an array of { id, name, created, thumbnail, practised }. */
  async styles() {
    const found = [];
    for (let after = 0; after !== null;) {
      const page = await this.#json(`v1/styles?limit=200&after=${after}`);
      found.push(...page.styles);
      after = page.next;
    }
    return found;
  }

  /** Save a picture or a practised style under a name, and return the style. */
  saveStyle(name, file) {
    return this.#json("v1/styles", { method: "POST", body: form([["name", name], ["file", file]]) });
  }

  /** Give a style another name, and return the style. */
  renameStyle(id, name) {
    return this.#json(`v1/styles/${id}`, { method: "PATCH", body: form([["name", name]]) });
  }

  /** Delete a style; succeeds too if there is none. */
  async deleteStyle(id) {
    await this.#send(`v1/styles/${id}`, { method: "DELETE" });
  }

  /** Return what the service takes and gives at most. */
  limits() {
    return this.#json("v1/limits");
  }

  async #json(path, options) {
    return (await this.#send(path, options)).json();
  }

  async #send(path, options) {
    for (let attempt = 1; ; attempt++) {
      const response = await fetch(this.#address + path, { ...options, headers: this.#headers });
      if (response.ok) return response;
      const problem = await ProblemError.of(response);
      if (!PASSING.includes(problem.code) || attempt === ATTEMPTS) throw problem;
      await new Promise((resolve) => setTimeout(resolve, 1000 * (problem.retryAfter ?? 1)));
    }
  }
}

function form(parts) {
  const data = new FormData();
  for (const [name, value] of parts) data.append(name, value);
  return data;
}

/** Return the milliseconds of each stage. */
const timings = (header) =>
  Object.fromEntries((header ?? "").split(", ").filter(Boolean).map((stage) => {
    const [name, milliseconds] = stage.split(";dur=");
    return [name, Number(milliseconds)];
  }));
