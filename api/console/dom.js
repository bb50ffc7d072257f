// Elements, and numbers as people read them. Text is only ever set as text: nothing that is stored becomes markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An element: `h("p", {class: "quiet"}, "text", other)`. */
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same for a drawing. */
export function svg(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

/** Puts children in place of what an element has. */
export function put(element, ...children) {
  element.replaceChildren(...children.flat(2).filter(Boolean));
}

export function count(number) {
  return number.toLocaleString("en");
}

export function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (number >= 1000 && unit < units.length - 1) {
    number /= 1000;
    unit += 1;
  }
  return `${number >= 100 || unit === 0 ? Math.round(number) : number.toFixed(1)}\u00a0${units[unit]}`;
}

export function micros(number) {
  if (number === 0) return "0";
  if (number < 1000) return `${Math.round(number)}\u00a0µs`;
  if (number < 1e6) return `${(number / 1000).toFixed(number < 1e4 ? 2 : 1)}\u00a0ms`;
  return `${(number / 1e6).toFixed(2)}\u00a0s`;
}

/** A value of a payload on one line. */
export function shown(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The middle one of some numbers. */
export function median(numbers) {
  const sorted = [...numbers].sort((one, other) => one - other);
  return sorted.length === 0 ? 0 : sorted[Math.floor(sorted.length / 2)];
}
