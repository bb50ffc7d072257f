// Points as cards: a title, the payload, and a picture where the payload has one.

import { h, shown } from "./dom.js";
import { picture, shownId } from "./server.js";

const TITLES = ["title", "name", "signature", "caption", "question", "text"];
const TEXTS = ["doc", "text", "snippet", "summary", "description", "content", "page_content", "document", "caption"];
const DATA = /^data:image\/(png|jpeg|webp|gif);base64,/;
const FILE = /\.(png|jpe?g|webp|gif|bmp)$/i;
const LONG = 400;
const FEW = 4;

function pick(payload, names, not) {
  return names.find((name) => typeof payload[name] === "string" && payload[name].trim() && name !== not);
}

/** The picture of a payload: one that it holds, or one that the server has. */
function thumbnail(collection, point) {
  const fields = Object.entries(point.payload ?? {}).filter(([, value]) => typeof value === "string");
  const inside = fields.find(([, value]) => DATA.test(value));
  if (inside) return h("img", { src: inside[1], alt: "", loading: "lazy" });
  const named = fields.filter(([, value]) => FILE.test(value)).map(([name]) => name);
  if (named.length === 0) return null;
  const field = named.includes("file") ? "file" : named[0];
  const image = h("img", { alt: "", hidden: true });
  picture(collection, point.id, field).then((address) => {
    if (!address) return image.remove();
    image.addEventListener("load", () => URL.revokeObjectURL(address), { once: true });
    image.src = address;
    image.hidden = false;
  });
  return image;
}

function value(of) {
  const text = shown(of);
  if (DATA.test(text)) return h("dd", { class: "quiet" }, "a picture");
  return h("dd", null, text.length > LONG ? `${text.slice(0, LONG)}…` : text);
}

/** Fields of a payload; many of them are shown when somebody asks. */
function listed(fields) {
  if (fields.length === 0) return null;
  const list = h("dl", { class: "payload" }, fields.map(([name, one]) => h("div", null, h("dt", null, name), value(one))));
  return fields.length > FEW ? h("details", null, h("summary", { class: "quiet" }, `${fields.length} more fields`), list) : list;
}

/** One point; `score` is none for a point that was only read. */
export function card(collection, point, { place, similar }) {
  const payload = point.payload ?? {};
  const title = pick(payload, TITLES);
  const text = pick(payload, TEXTS, title);
  const others = Object.entries(payload).filter(([name]) => name !== title && name !== text);
  const id = shownId(point.id);
  return h("li", { class: "card" },
    thumbnail(collection, point),
    h("div", { class: "body" },
      h("div", { class: "row" },
        place ? h("span", { class: "place" }, String(place)) : null,
        h("strong", { class: "title" }, title ? payload[title] : id),
        point.score === undefined ? null : h("span", { class: "score number" }, point.score.toFixed(4))),
      text ? h("p", { class: "text" }, payload[text].length > LONG ? `${payload[text].slice(0, LONG)}…` : payload[text]) : null,
      listed(others),
      h("div", { class: "row foot" },
        h("code", { class: "id", title: "id" }, id),
        similar ? h("button", { type: "button", class: "plain", onclick: () => similar(point.id) }, "more like this") : null)));
}
