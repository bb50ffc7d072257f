// Which view is shown: the address behind # says collection and view.

import { curve, memory } from "./charts.js";
import { bytes, count, h, median, micros, put } from "./dom.js";
import { searchView } from "./search.js";
import { ask, key, of } from "./server.js";

const VIEWS = { search: "Search", curve: "Recall", memory: "Memory" };
const TARGETS = [0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1];
const QUERIES = 24;
const NEIGHBOURS = 10;

const view = document.getElementById("view");
const picker = document.getElementById("pick");
const dialog = document.getElementById("ask-key");
let shown = new AbortController();

function address() {
  const [name, which] = location.hash.replace(/^#\//, "").split("/").map(decodeURIComponent);
  return { name: name || null, which: which in VIEWS ? which : "search" };
}

const link = (name, which) => `#/${encodeURIComponent(name)}/${which}`;

function facts(all) {
  return h("dl", { class: "facts" }, all.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", { class: "number" }, value))));
}

function overview(collections) {
  const ready = collections.map((one) => (one.state === "ready"
    ? h("li", null, h("a", { class: "panel collection", href: link(one.name, "search") },
      h("strong", null, one.name),
      facts([["points", count(one.points)], ["codes", bytes(one.code_bytes)], ["disk", bytes(one.disk_bytes)]]),
      h("p", { class: "quiet small" }, one.fields.map((field) => [field.name, field.dims, field.metric, field.model?.split("/").pop()].filter(Boolean).join(" · ")).join("; "))))
    : h("li", { class: "panel collection" }, h("strong", null, one.name), h("p", { class: "wrong" }, one.reason))));
  put(view, ready.length
    ? h("ul", { class: "collections" }, ready)
    : h("p", { class: "panel" }, "There is no collection yet. ", h("code", null, "bigrain build docs.jsonl --collection docs"), " makes one, and so does any client."));
}

function summary(one) {
  const working = one.merging ? `, merging ${count(one.merging.rows)} rows (${one.merging.percent}%)` : one.flushing ? `, flushing (${one.flushing.percent}%)` : "";
  return h("div", { class: "summary" },
    facts([["points", count(one.points)], ["segments", count(one.segments) + working], ["not in a segment", count(one.memtable_points)],
      ["codes", bytes(one.code_bytes)], ["memory", bytes(one.memory_bytes)], ["disk", bytes(one.disk_bytes)]]));
}

async function memoryView(to, signal) {
  put(to, h("section", { class: "panel" }, h("h2", null, "Memory by owner"), memory(await ask("/memory", undefined, signal))));
}

/** Searches like some of its points, exactly and at several targets, and draws what each target finds in what time. */
async function measure(collection, field, to, signal) {
  const page = await ask(of(collection.name, "/scroll"), { limit: 1000, with_payload: false }, signal);
  const step = Math.max(1, Math.floor(page.points.length / QUERIES));
  const ids = page.points.filter((_, at) => at % step === 0).slice(0, QUERIES).map((point) => point.id);
  if (ids.length === 0) return put(to, h("p", { class: "quiet" }, "It has no points yet."));
  const search = (like, how) => ask(of(collection.name, "/search"), { like, field, limit: NEIGHBOURS, with_payload: false, ...how }, signal);
  const run = async (how) => {
    const replies = [];
    for (const id of ids) replies.push(await search(id, how));
    return replies;
  };
  const spin = h("p", { class: "quiet", role: "status" }, "searching exactly …");
  put(to, spin);
  const truth = await run({ exact: true });
  const points = [];
  for (const target of TARGETS) {
    put(spin, `searching for ${target} of the neighbours …`);
    const replies = await run({ target_recall: target });
    let right = 0, all = 0;
    replies.forEach((reply, at) => {
      const wanted = new Set(truth[at].points.map((point) => String(point.id?.rawJSON ?? point.id)));
      all += wanted.size;
      right += reply.points.filter((point) => wanted.has(String(point.id?.rawJSON ?? point.id))).length;
    });
    points.push({
      target, recall: all ? right / all : 1,
      micros: median(replies.map((reply) => reply.server_time_us)),
      scanned: median(replies.map((reply) => reply.stats.codes_scanned)),
      read: median(replies.map((reply) => reply.stats.rows_read)),
    });
  }
  const exact = median(truth.map((reply) => reply.server_time_us));
  const head = ["target", "recall", "time", "codes scanned", "vectors read"];
  put(to, h("div", { class: "drawing" },
    curve(points, exact),
    h("table", null, h("thead", null, h("tr", null, head.map((name) => h("th", null, name)))),
      h("tbody", null, points.map((point) => h("tr", null,
        [point.target, point.recall.toFixed(4), micros(point.micros), count(point.scanned), count(point.read)]
          .map((cell, at) => h("td", { class: "number", "data-head": head[at] }, String(cell)))))))),
    h("p", { class: "quiet small" }, `${ids.length} searches like points of the collection, ${NEIGHBOURS} neighbours each, one after the other; recall against the exact search, median of the times in the server.`));
}

function curveView(to, collection, signal) {
  const dense = collection.fields.filter((field) => field.kind === "dense");
  const field = h("select", { "aria-label": "Field" }, dense.map((one) => h("option", null, one.name)));
  const drawn = h("div", { class: "drawn" });
  const start = h("button", { class: "main", type: "button", id: "measure", onclick: async () => {
    start.disabled = true;
    try {
      await measure(collection, field.value, drawn, signal);
    } catch (error) {
      if (error.name !== "AbortError") put(drawn, h("p", { class: "wrong" }, error.message));
    }
    start.disabled = false;
  } }, "measure");
  put(to, h("section", { class: "panel" },
    h("h2", null, "Recall against time"),
    dense.length
      ? h("div", { class: "row wrap" }, dense.length > 1 ? field : null, start, h("span", { class: "quiet" }, "searches exactly and at eight targets"))
      : h("p", { class: "quiet" }, "Only fields of dense vectors have codes, and so a recall."),
    drawn));
}

async function show() {
  shown.abort();
  shown = new AbortController();
  const { signal } = shown;
  const { name, which } = address();
  try {
    const { collections } = await ask("/collections", undefined, signal);
    put(picker, h("option", { value: "" }, collections.length ? "all" : "none yet"),
      collections.filter((one) => one.state === "ready").map((one) => h("option", { value: one.name }, one.name)));
    const one = collections.find((other) => other.name === name && other.state === "ready");
    picker.value = one ? name : "";
    document.title = one ? `${name} · bigrain` : "bigrain";
    put(document.getElementById("tabs"), one && Object.entries(VIEWS).map(([path, label]) =>
      h("a", { href: link(name, path), "aria-current": path === which ? "page" : null }, label)));
    if (!one) {
      overview(collections);
      const held = h("div");
      view.append(held);
      return await memoryView(held, signal);
    }
    const to = h("div", { class: "viewed" });
    put(view, summary(one), to);
    if (which === "memory") await memoryView(to, signal);
    else if (which === "curve") curveView(to, one, signal);
    else await searchView(to, one, (await ask("/models", undefined, signal)).models, signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error.status === 401 || (error.status === 403 && !key.get())) return askKey(key.get() ? error.message : "");
    put(view, h("p", { class: "panel wrong", role: "alert" }, error.message), h("button", { type: "button", class: "plain", onclick: show }, "try again"));
  }
}

function askKey(refused) {
  document.getElementById("key-refused").textContent = refused;
  if (!dialog.open) dialog.showModal();
}

dialog.addEventListener("close", () => {
  const text = document.getElementById("key-text");
  if (dialog.returnValue === "use") key.set(text.value.trim());
  if (dialog.returnValue === "forget") key.set("");
  text.value = "";
  if (["use", "forget"].includes(dialog.returnValue)) show();
});
document.getElementById("key").addEventListener("click", () => askKey(""));
picker.addEventListener("change", () => { location.hash = picker.value ? link(picker.value, address().which) : "#/"; });
window.addEventListener("hashchange", show);
show();
