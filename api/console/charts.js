// Drawings: the stages of a search, recall against time, and who holds the memory.

import { bytes, count, h, micros, svg } from "./dom.js";

const STAGES = [
  ["encode", "encode", "the model reads the query"],
  ["prepare", "prepare", "the query is rotated and quantised"],
  ["filter", "filter", "rows that match are found"],
  ["candidates", "candidates", "codes are scanned in memory"],
  ["verify", "verify", "dense vectors are read and scored"],
  ["payload", "payload", "ids and payloads of results"],
];

function rowsOf(stage, stats, found) {
  if (stage === "candidates") {
    const what = [];
    if (stats.codes_scanned) what.push(`${count(stats.codes_scanned)} codes`);
    if (stats.components) what.push(`${count(stats.components)} components`);
    if (stats.lists) what.push(`${count(stats.lists)} lists`);
    if (stats.candidates) what.push(`${count(stats.candidates)} candidates`);
    return what.join(", ");
  }
  if (stage === "verify" && stats.rows_read) {
    return `${count(stats.rows_read)} rows${stats.bytes_read ? `, ${bytes(stats.bytes_read)}` : ""}`;
  }
  if (stage === "payload") return `${count(found)} results`;
  return "";
}

/** The stages of a search, each where it lies in the time that the server took. */
export function stages(reply) {
  const { stats } = reply;
  const times = STAGES.map(([name, label, meaning]) => ({ name, label, meaning, took: stats[`${name}_us`] ?? 0 }));
  const known = times.reduce((sum, stage) => sum + stage.took, 0);
  const total = Math.max(reply.server_time_us, known, 1);
  const drawn = times.filter((stage) => stage.took > 0 || ["candidates", "verify"].includes(stage.name));
  let start = 0;
  const bars = drawn.map((stage) => {
    const bar = h("div", {
      class: `bar ${stage.name}`,
      style: { left: `${(100 * start) / total}%`, width: `${Math.max((100 * stage.took) / total, 0.6)}%` },
    });
    start += stage.took;
    return h("div", { class: "stage", title: stage.meaning },
      h("span", { class: "label" }, stage.label),
      h("div", { class: "lane" }, bar),
      h("span", { class: "time" }, micros(stage.took)),
      h("span", { class: "rows quiet" }, rowsOf(stage.name, stats, reply.points.length)));
  });
  const rest = total - known;
  return h("div", { class: "stages" }, bars,
    h("p", { class: "quiet small" }, `${micros(reply.server_time_us)} in the server, of which ${micros(rest)} in none of these: queues, checks, writing the answer.`));
}

/** The plan of a search: what each source was asked. */
export function plan(of) {
  if (!of) return null;
  const head = ["source", "how", "rows", "deleted", "filter", "vectors from"];
  const rows = of.sources.map((source) => h("tr", null,
    [source.source, source.scanned_by ? `${source.index}, scanned by ${source.scanned_by}` : source.index, count(source.rows), count(source.deleted), source.filter ?? "", source.reads ?? "memory"]
      .map((cell, at) => h("td", { "data-head": head[at], class: at === 2 || at === 3 ? "number" : null }, cell))));
  const levels = of.levels ? `, ${of.levels} levels, query of ${of.query_bits} bits, at most ${count(of.max_candidates)} candidates` : "";
  return h("div", { class: "plan" },
    h("p", null, h("strong", null, of.method), h("span", { class: "quiet" }, ` in ${of.field}${levels}`)),
    rows.length ? h("table", null, h("thead", null, h("tr", null, head.map((name) => h("th", null, name)))), h("tbody", null, rows)) : null,
    (of.parts ?? []).map(plan));
}

/** The round number below: 1, 2 or 5 and zeros. */
function round(number) {
  const ten = 10 ** Math.floor(Math.log10(number));
  return ten * [5, 2, 1].find((one) => one * ten <= number);
}

/** Recall against the time of a search; `exact` is the time of the exact one. */
export function curve(points, exact) {
  const [width, height] = [640, 300];
  const inside = { left: 76, right: 20, top: 18, bottom: 44 };
  const least = Math.min(...points.map((point) => point.recall), 0.99);
  const from = Math.max(0, Math.floor(least * 20 - 0.001) / 20);
  const step = round(Math.max(...points.map((point) => point.micros), exact) / 3);
  const most = 1.15 * Math.max(...points.map((point) => point.micros), exact);
  const x = (recall) => inside.left + ((recall - from) / (1 - from)) * (width - inside.left - inside.right);
  const y = (time) => height - inside.bottom - (time / most) * (height - inside.top - inside.bottom);
  const part = from < 0.5 ? 0.2 : from < 0.8 ? 0.05 : 0.01 * Math.ceil((1 - from) * 20);
  const ticks = [];
  for (let recall = 1; recall > from - 0.001; recall -= part) ticks.push(recall);
  const times = [];
  for (let time = 0; time <= most; time += step) times.push(time);
  const above = y(exact) > inside.top + 16;
  const ordered = [...points].sort((one, other) => one.target - other.target);
  const line = ordered.map((point, at) => `${at ? "L" : "M"}${x(point.recall).toFixed(1)} ${y(point.micros).toFixed(1)}`).join("");
  return svg("svg", { class: "curve", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Recall against time" },
    times.map((time) => [
      svg("line", { class: "grid", x1: inside.left, x2: width - inside.right, y1: y(time), y2: y(time) }),
      svg("text", { x: inside.left - 8, y: y(time) + 4, "text-anchor": "end" }, micros(time)),
    ]),
    ticks.map((recall) => svg("text", { x: x(recall), y: height - inside.bottom + 20, "text-anchor": "middle" }, recall.toFixed(2))),
    svg("text", { class: "axis", x: (inside.left + width - inside.right) / 2, y: height - 6, "text-anchor": "middle" }, "recall"),
    svg("line", { class: "exact", x1: inside.left, x2: width - inside.right, y1: y(exact), y2: y(exact) }),
    svg("text", { x: inside.left + 6, y: y(exact) + (above ? -6 : 16), class: "exact" }, `exact: ${micros(exact)}`),
    svg("path", { class: "line", d: line }),
    ordered.map((point) => svg("circle", { cx: x(point.recall), cy: y(point.micros), r: 4.5 },
      svg("title", null, `target ${point.target}: recall ${point.recall.toFixed(4)}, ${micros(point.micros)}`))));
}

const OWNERS = {
  codes: "codes and lists of segments",
  memtables: "recent writes",
  caches: "the store's caches, and those of filters and words",
  builds: "segments that are being built",
  kept: "what the allocator keeps of what was freed",
};

/** Who holds how much memory. */
export function memory(reply) {
  const whole = Math.max(reply.budget ?? 0, reply.used, 1);
  const owners = Object.entries(reply.owners);
  return h("div", { class: "memory" },
    h("div", { class: "whole", role: "img", "aria-label": "Memory by owner" },
      owners.map(([owner, size]) => h("div", { class: `part ${owner}`, style: { width: `${(100 * size) / whole}%` } }))),
    h("dl", { class: "owners" }, owners.map(([owner, size]) => h("div", null,
      h("dt", null, h("i", { class: `dot ${owner}` }), owner),
      h("dd", { class: "number" }, bytes(size)),
      h("dd", { class: "quiet" }, OWNERS[owner] ?? "")))),
    h("p", { class: "quiet small" }, reply.budget
      ? `${bytes(reply.used)} of a budget of ${bytes(reply.budget)}.`
      : `${bytes(reply.used)}, without a budget.`));
}
