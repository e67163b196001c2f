// Small helpers around the document.

export const $ = (id) => document.getElementById(id);

/** Return a new element with properties, data-* and aria-* attributes, and children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "style") Object.entries(value).forEach(([k, v]) => made.style.setProperty(k, v));
    else if (name.includes("-")) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** Show a message in the place of an error, or hide it where there is none. */
export function showError(id, message) {
  $(id).textContent = message ?? "";
  $(id).hidden = !message;
}

/** Call `action` once `milliseconds` have passed without another call; `cancel` calls it off. */
export function debounce(action, milliseconds) {
  let timer;
  const cancel = () => clearTimeout(timer);
  const call = () => {
    cancel();
    timer = setTimeout(action, milliseconds);
  };
  return Object.assign(call, { cancel });
}
