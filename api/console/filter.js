// Builds a filter of payload fields, as rows or as JSON.

import { h, put } from "./dom.js";

// What a row can say, and the condition it becomes.
const WAYS = {
  "is": (field, value) => ({ field, eq: value }),
  "is not": (field, value) => ({ must_not: { field, eq: value } }),
  "is one of": (field, value) => ({ field, in: value }),
  "has the words": (field, value) => ({ field, text: String(value) }),
  "begins with": (field, value) => ({ field, prefix: String(value) }),
  "is at least": (field, value) => ({ field, gte: value }),
  "is at most": (field, value) => ({ field, lte: value }),
  "is there": (field) => ({ field, exists: true }),
  "is not there": (field) => ({ field, exists: false }),
};
const WITHOUT_VALUE = ["is there", "is not there"];

/** What a person wrote, as the kind of value that the field has in the points that were looked at. */
function typed(text, kinds) {
  if (kinds.has("number") && text.trim() !== "" && !Number.isNaN(Number(text))) return Number(text);
  if (kinds.has("boolean") && ["true", "false"].includes(text.trim())) return text.trim() === "true";
  return text;
}

/** A name as paths of fields have it. */
const quoted = (name) => (/[.[\]"]/.test(name) ? JSON.stringify(name) : name);

/** The payload fields of some points, and the kinds of values each has. */
export function fieldsOf(payloads) {
  const fields = new Map();
  const add = (path, value) => {
    if (Array.isArray(value)) value.forEach((one) => add(typeof one === "object" ? `${path}[]` : path, one));
    else if (value !== null && typeof value === "object") {
      Object.entries(value).forEach(([name, one]) => add(path ? `${path}.${quoted(name)}` : quoted(name), one));
    } else if (path) fields.set(path, (fields.get(path) ?? new Set()).add(typeof value));
  };
  payloads.forEach((payload) => add("", payload ?? {}));
  return new Map([...fields].sort(([one], [other]) => one.localeCompare(other)));
}

/** The builder: `element` to show, `read()` for the filter (null without one; throws what is wrong with its JSON). */
export function filterBuilder({ suggest, changed }) {
  let fields = new Map();
  let asJson = false;
  const names = h("datalist", { id: "payload-fields" });
  const rows = h("div", { class: "rows" });
  const json = h("textarea", { rows: 4, spellcheck: "false", "aria-label": "Filter as JSON", placeholder: '{"field": "year", "gte": 1990}' });
  const join = h("select", { "aria-label": "How conditions are joined" }, h("option", { value: "must" }, "all of"), h("option", { value: "should" }, "any of"));
  const swap = h("button", { type: "button", class: "plain", onclick: () => toJson(!asJson) }, "as JSON");
  const add = h("button", { type: "button", class: "plain", onclick: () => addRow() }, "+ condition");
  const head = h("div", { class: "row wrap" }, join, add, swap);
  const element = h("div", { class: "filter" }, names, head, rows, json);
  json.hidden = true;
  join.hidden = true;

  function addRow() {
    const options = h("datalist", { id: `values-${Math.random().toString(36).slice(2)}` });
    const field = h("input", { list: "payload-fields", placeholder: "field", "aria-label": "Payload field", autocomplete: "off", spellcheck: "false" });
    const way = h("select", { "aria-label": "Condition" }, Object.keys(WAYS).map((name) => h("option", null, name)));
    const value = h("input", { list: options.id, placeholder: "value", "aria-label": "Value", autocomplete: "off", spellcheck: "false" });
    const row = h("div", { class: "condition" }, field, way, value, options);
    row.append(h("button", {
      type: "button", class: "plain", "aria-label": "Remove this condition",
      onclick: () => { row.remove(); join.hidden = rows.children.length < 2; changed?.(); },
    }, "×"));
    way.addEventListener("change", () => { value.hidden = WITHOUT_VALUE.includes(way.value); });
    field.addEventListener("change", async () => {
      const values = field.value ? await suggest(field.value).catch(() => []) : [];
      put(options, values.map((one) => h("option", { value: String(one) })));
    });
    row.condition = () => {
      if (!field.value.trim()) return null;
      const kinds = fields.get(field.value) ?? new Set();
      const listed = way.value === "is one of";
      const read = listed
        ? value.value.split(",").map((one) => typed(one.trim(), kinds))
        : typed(value.value, kinds);
      return WAYS[way.value](field.value.trim(), read);
    };
    rows.append(row);
    join.hidden = rows.children.length < 2;
    return { field, way, value };
  }

  function fromRows() {
    const conditions = [...rows.children].map((row) => row.condition()).filter(Boolean);
    if (conditions.length === 0) return null;
    return conditions.length === 1 ? conditions[0] : { [join.value]: conditions };
  }

  function toJson(yes) {
    if (yes) json.value = fromRows() ? JSON.stringify(fromRows(), null, 2) : json.value;
    asJson = yes;
    json.hidden = !yes;
    rows.hidden = yes;
    add.hidden = yes;
    join.hidden = yes || rows.children.length < 2;
    swap.textContent = yes ? "as rows" : "as JSON";
  }

  return {
    element,
    addRow,
    read: () => {
      if (!asJson) return fromRows();
      return json.value.trim() ? JSON.parse(json.value) : null;
    },
    know: (known) => {
      fields = known;
      put(names, [...known.keys()].map((name) => h("option", { value: name })));
    },
  };
}
