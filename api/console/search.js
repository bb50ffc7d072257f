// The view that searches: by text, by words, like a point, by a vector, by an image.

import { plan, stages } from "./charts.js";
import { count, h, micros, put } from "./dom.js";
import { fieldsOf, filterBuilder } from "./filter.js";
import { card } from "./results.js";
import { ask, of, readId, shownId } from "./server.js";

const SAMPLE = 30;

function base64(file) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => done(reader.result.slice(reader.result.indexOf(",") + 1)));
    reader.addEventListener("error", () => failed(reader.error));
    reader.readAsDataURL(file);
  });
}

/** A vector that a person pasted: numbers in brackets, or between spaces or commas. */
function readVector(text) {
  const numbers = text.replace(/[[\]]/g, " ").split(/[\s,;]+/).filter(Boolean).map(Number);
  if (numbers.length === 0 || numbers.some(Number.isNaN)) throw new Error("a vector is numbers, with commas or spaces between");
  return numbers;
}

/** What can be asked for in a collection, with the models there are. */
function ways(collection, models) {
  const model = (field) => models.find((one) => one.name === field.model?.split("/").filter(Boolean).pop());
  const dense = collection.fields.filter((field) => field.kind === "dense");
  const texts = dense.filter(model);
  const images = dense.filter((field) => model(field)?.images);
  const names = (fields) => fields.map((field) => field.name);
  const all = [
    { way: "text", label: "text", fields: names(texts), lack: "no field has a model that is loaded" },
    { way: "words", label: "words", fields: names(collection.text_fields), lack: "no text field is declared" },
    { way: "image", label: "image", fields: names(images), lack: "no model encodes images" },
    { way: "like", label: "like a point", fields: names(collection.fields) },
    { way: "vector", label: "vector", fields: names(dense) },
  ];
  return all.filter(({ fields }) => fields.length > 0);
}

export async function searchView(view, collection, models, signal) {
  const known = ways(collection, models);
  const way = h("div", { class: "ways", role: "radiogroup", "aria-label": "Search by" });
  const field = h("select", { id: "field" });
  const text = h("input", { type: "search", name: "query", "aria-label": "What to look for", autocomplete: "off", spellcheck: "false" });
  const vector = h("textarea", { rows: 3, "aria-label": "Vector", placeholder: "0.12, -0.4, …" });
  const image = h("input", { type: "file", accept: "image/*", "aria-label": "Image" });
  const preview = h("img", { class: "preview", alt: "", hidden: true });
  const limit = h("input", { type: "number", min: 1, max: 200, value: 10 });
  const target = h("input", { type: "number", min: 0.1, max: 1, step: 0.01, placeholder: "0.95" });
  const exact = h("input", { type: "checkbox" });
  const found = h("ol", { class: "cards" });
  const head = h("p", { class: "quiet", role: "status" });
  const explained = h("details", { class: "panel", hidden: true }, h("summary", null, "How it was found"));
  const drawn = h("div");
  explained.append(drawn);
  // On a small screen results come first.
  explained.open = matchMedia("(min-width: 60rem)").matches;
  const filter = filterBuilder({
    suggest: async (name) => {
      const reply = await ask(of(collection.name, "/facet"), { field: name, limit: 20 });
      return reply.values.map((one) => one.value);
    },
  });
  let chosen = known[0];

  function choose(next) {
    chosen = next;
    put(way, known.map((one) => h("button", {
      type: "button", role: "radio", "aria-checked": String(one === chosen),
      class: one === chosen ? "chosen" : "", onclick: () => choose(one),
    }, one.label)));
    put(field, chosen.fields.map((name) => h("option", { value: name }, name)));
    field.parentElement.hidden = chosen.fields.length < 2;
    text.hidden = ["vector", "image"].includes(chosen.way);
    text.placeholder = chosen.way === "like" ? "the id of a point" : chosen.way === "words" ? "words to look for" : "a question, or a few words";
    vector.hidden = chosen.way !== "vector";
    image.hidden = chosen.way !== "image";
    preview.hidden = chosen.way !== "image" || !preview.src;
  }

  image.addEventListener("change", () => {
    if (preview.src) URL.revokeObjectURL(preview.src);
    const [file] = image.files;
    if (file) preview.src = URL.createObjectURL(file);
    preview.hidden = !file;
  });

  async function query() {
    if (chosen.way === "vector") return { vector: readVector(vector.value) };
    if (chosen.way === "image") {
      if (!image.files.length) throw new Error("choose an image first");
      return { image: await base64(image.files[0]) };
    }
    const asked = text.value.trim();
    if (!asked) throw new Error("write what to look for first");
    return { [chosen.way]: chosen.way === "like" ? readId(asked) : asked };
  }

  async function run() {
    head.classList.remove("wrong");
    put(head, "searching …");
    try {
      const body = { ...(await query()), limit: Number(limit.value) || 10, explain: true, exact: exact.checked };
      if (target.value) body.target_recall = Number(target.value);
      if (chosen.fields.length > 1) body.field = field.value;
      const condition = filter.read();
      if (condition) body.filter = condition;
      const begun = performance.now();
      const reply = await ask(of(collection.name, "/search"), body, signal);
      const waited = 1000 * (performance.now() - begun);
      const cut = reply.query_truncated ? " The text was longer than the model reads, and was cut." : "";
      put(head, `${count(reply.points.length)} results in ${micros(reply.server_time_us)} (${micros(waited)} with the way here and back).${cut}`);
      put(found, reply.points.map((point, at) => card(collection.name, point, { place: at + 1, similar })));
      explained.hidden = false;
      put(drawn, stages(reply), plan(reply.plan));
    } catch (error) {
      if (error.name === "AbortError") return;
      head.classList.add("wrong");
      put(head, error.message);
      put(found);
      explained.hidden = true;
    }
  }

  function similar(id) {
    choose(known.find((one) => one.way === "like"));
    text.value = shownId(id);
    view.scrollIntoView({ block: "start" });
    run();
  }

  const form = h("form", { class: "panel", onsubmit: (event) => { event.preventDefault(); run(); } },
    way,
    h("div", { class: "row query" }, text, vector, image, preview, h("button", { class: "main" }, "search")),
    h("div", { class: "row wrap settings" },
      h("label", null, "field ", field),
      h("label", null, "results ", limit),
      h("label", { title: "The share of the true neighbours to aim at" }, "target recall ", target),
      h("label", null, exact, " exact")),
    filter.element);
  put(view, form, head, h("div", { class: "split" }, found, explained));
  choose(chosen);
  text.focus({ preventScroll: true });
  const sample = await ask(of(collection.name, "/scroll"), { limit: SAMPLE }, signal);
  filter.know(fieldsOf(sample.points.map((point) => point.payload)));
  if (!found.children.length) put(found, sample.points.slice(0, 6).map((point) => card(collection.name, point, { similar })));
  if (!head.textContent) put(head, sample.points.length ? "Some of its points:" : "It has no points yet.");
}
