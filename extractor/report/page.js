"use strict";
// Builds the page from the data in it. Text of documents only ever becomes text nodes, never markup.
(() => {
  const PAGE = 20;
  const STATUSES = ["ok", "partial", "failed"];
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const state = { found: data.documents, page: 0 };

  function el(tag, properties, ...children) {
    const { className, hue, ...rest } = properties || {};
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (hue !== undefined) node.style.setProperty("--hue", hueOf(hue));
    for (const [name, value] of Object.entries(rest)) node.setAttribute(name, value);
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  }

  const hueOf = (field) => String(Math.round((field * 137.508 + 210) % 360));
  const number = (value) => value.toLocaleString("en");
  const share = (value) => value.toFixed(2);
  const nameOf = (field) => (data.fields[field] || "").replaceAll("~1", "/").replaceAll("~0", "~");
  const labelOf = (value) => nameOf(value.field) + (value.item ? ` [${value.item}]` : "");

  /** The language of a text, so that the right forms of Han characters are chosen. */
  function language(text) {
    if (/[\u3040-\u30ff]/.test(text)) return "ja";
    if (/[\uac00-\ud7af]/.test(text)) return "ko";
    return /[\u4e00-\u9fff]/.test(text) ? "zh-Hans" : "";
  }

  // Summary

  function showSummary() {
    const all = data.summary;
    const runs = all.runs.map((run) => `model ${run.model}, schema ${run.schema}, prompt ${run.prompt}, run ${run.fingerprint}`);
    $("runs").textContent = runs.join("; ") + (data.redacted ? ". Sensitive values are masked, as far as the answers name them." : "");
    const tiles = [
      [number(all.documents), "documents"],
      [number(all.ok), "ok"],
      [number(all.partial), "partial"],
      [number(all.failed), "failed"],
      [number(all.ungrounded), "with values not found in the text"],
      [number(all.conflicts), "with conflicts"],
      [number(all.retried), "retried"],
      [number(all.tokens.read), "tokens read"],
      [number(all.tokens.written), "tokens written"],
    ];
    if (all.throughput) tiles.push([all.throughput.toPrecision(3), "documents per second, loading included"]);
    if (all.latency) tiles.push([`${all.latency.median} s`, `median latency (95 % within ${all.latency.p95} s)`]);
    $("tiles").append(...tiles.map(([value, label]) => el("div", { className: "tile" }, el("b", {}, value), el("span", {}, label))));
    const bins = all.confidence.map((count, at) => [`${(at / 10).toFixed(1)}–${((at + 1) / 10).toFixed(1)}`, count]);
    $("charts").append(
      ...[
        all.codes.length ? chart("Partial and failed documents by problem", all.codes) : null,
        chart("Fields found, in documents", all.fields.map((field, at) => [nameOf(at), field.documents])),
        chart("Confidence of values", bins),
        chart("Length of documents, in characters", all.lengths),
      ].filter(Boolean),
    );
    showFields(all.fields);
  }

  function chart(title, rows) {
    const most = Math.max(1, ...rows.map(([, count]) => count));
    const bars = el("div", { className: "bars" });
    for (const [label, count] of rows) {
      const bar = el("span", { className: "bar" });
      bar.style.width = `${(100 * count) / most}%`;
      bars.append(el("span", {}, label), el("span", {}, bar), el("span", { className: "count" }, number(count)));
    }
    return el("figure", {}, el("figcaption", {}, title), bars);
  }

  function showFields(fields) {
    const heads = ["documents", "values", "mean confidence", "not in the text", "conflicts"];
    const head = el("tr", {}, el("th", { scope: "col" }, "field"), ...heads.map((name) => el("th", { scope: "col", className: "number" }, name)));
    const rows = fields.map((field, at) => {
      const chip = el("button", { type: "button", className: "chip", hue: at, "data-field": at, "aria-pressed": "false", title: "Show documents with this field" }, nameOf(at));
      const cells = [number(field.documents), number(field.values), field.confidence === null ? "–" : share(field.confidence), number(field.ungrounded), number(field.conflicts)];
      return el("tr", {}, el("td", {}, chip), ...cells.map((cell) => el("td", { className: "number" }, cell)));
    });
    $("fields").append(el("thead", {}, head), el("tbody", {}, ...rows));
  }

  // Filters

  function haystack(entry) {
    if (entry.haystack === undefined) {
      const texts = (entry.excerpts || []).map((excerpt) => excerpt.text);
      const values = (entry.values || []).map((value) => value.text || "");
      entry.haystack = [entry.id, ...values, ...(entry.errors || []).map((error) => error.code), ...texts].join("\n").toLowerCase();
    }
    return entry.haystack;
  }

  function hasStatus(entry, status) {
    if (status === "textless") return !entry.excerpts;
    return STATUSES.includes(status) ? entry.status === status : (entry.flags || []).includes(status);
  }

  function filter() {
    const search = $("search").value.trim().toLowerCase();
    const [field, status, most] = [$("field").value, $("status").value, Number($("confidence").value)];
    const fits = (value) => value.text !== null && (field === "" || value.field === Number(field)) && (most === 1 || value.confidence <= most);
    state.found = data.documents.filter(
      (entry) =>
        (!search || haystack(entry).includes(search)) &&
        (!status || hasStatus(entry, status)) &&
        ((field === "" && most === 1) || (entry.values || []).some(fits)),
    );
    for (const chip of document.querySelectorAll("#fields .chip")) chip.setAttribute("aria-pressed", String(chip.dataset.field === field));
    $("confidence-shown").textContent = most === 1 ? "any" : share(most);
    show(0);
  }

  // Documents

  function show(page) {
    const pages = Math.max(1, Math.ceil(state.found.length / PAGE));
    state.page = Math.min(Math.max(page, 0), pages - 1);
    const first = state.page * PAGE;
    const shown = state.found.slice(first, first + PAGE);
    hideTip();
    $("documents").replaceChildren(...shown.map(card));
    const range = shown.length ? `${number(first + 1)}–${number(first + shown.length)} of ` : "";
    const hidden = data.summary.documents - data.documents.length;
    const rest = hidden > 0 ? `; ${number(hidden)} more are not in this page (--limit)` : "";
    $("count").textContent = `${range}${number(state.found.length)} documents${state.found.length < data.documents.length ? `, filtered from ${number(data.documents.length)}` : ""}${rest}`;
    $("previous").disabled = state.page === 0;
    $("next").disabled = state.page === pages - 1;
  }

  function card(entry) {
    const flags = entry.flags || [];
    const kind = entry.status !== "ok" ? entry.status : flags.length ? "odd" : "";
    const words = { ungrounded: "value not in the text", conflict: "conflict", withheld: "value withheld", example: "value of an example" };
    const status = entry.code ? `${entry.status}: ${entry.code}` : entry.status;
    const badges = [el("span", { className: `badge ${entry.status}` }, status), ...flags.map((flag) => el("span", { className: "badge odd" }, words[flag]))];
    const lowest = entry.lowest_confidence === undefined ? null : el("span", { className: "about" }, `lowest confidence ${share(entry.lowest_confidence)}`);
    const about = Object.entries(entry.about || {}).map(([name, value]) => (name === "path" ? value : `${name} ${typeof value === "number" ? number(value) : value}`));
    return el(
      "article",
      { className: kind, tabindex: "-1", "aria-label": entry.id },
      el("header", {}, el("h2", {}, entry.id), ...badges, lowest),
      entry.excerpts ? textOf(entry) : el("p", { className: "note" }, entry.note || "The text is not available."),
      entry.values ? valuesOf(entry) : null,
      entry.withheld ? withheldOf(entry.withheld) : null,
      entry.errors ? errorsOf(entry.errors) : null,
      el("div", { className: "about" }, about.join(" · ")),
    );
  }

  function textOf(entry) {
    const box = el("div", { className: "text", tabindex: "0", role: "region", "aria-label": `Text of ${entry.id}`, dir: "auto" });
    const lang = language(entry.excerpts.map((excerpt) => excerpt.text).join(""));
    if (lang) box.lang = lang;
    for (const excerpt of entry.excerpts) {
      if (excerpt.skipped) box.append(el("span", { className: "skipped" }, ` … ${number(excerpt.skipped)} characters not shown … `));
      box.append(...highlighted(excerpt, entry));
    }
    return box;
  }

  /** The text, split where highlights begin and end; a piece belongs to the shortest highlight around it. */
  function highlighted(excerpt, entry) {
    const borders = [...new Set([0, excerpt.text.length, ...excerpt.highlights.flatMap(([start, end]) => [start, end])])].sort((a, b) => a - b);
    return borders.slice(1).map((end, at) => {
      const start = borders[at];
      const around = excerpt.highlights.filter((each) => each[0] <= start && end <= each[1]).sort((a, b) => a[1] - a[0] - (b[1] - b[0]));
      const piece = excerpt.text.slice(start, end);
      if (!around.length) return document.createTextNode(piece);
      const [, , value, other] = around[0];
      const node = el("mark", { tabindex: "0", hue: entry.values[value].field, "aria-describedby": "tip", className: other ? "other" : "" }, piece);
      node.dataset.field = nameOf(entry.values[value].field);
      node.dataset.values = around.filter((each) => !each[3]).map((each) => each[2]).join(" ");
      node.tip = () => [...new Set(around.map((each) => describe(entry.values[each[2]], Boolean(each[3]))))].join("\n\n");
      return node;
    });
  }

  function describe(value, other) {
    const lines = [`${labelOf(value)}: ${other ? "another value was found elsewhere; chosen:" : ""} ${value.text}`.replace("  ", " ")];
    if (value.confidence !== undefined) lines.push(`confidence ${share(value.confidence)}`);
    if (value.grounding) lines.push(`place chosen: ${value.grounding}`);
    if (value.conflicts) lines.push(`alternatives: ${value.conflicts.join("; ")}`);
    return lines.join("\n");
  }

  function valuesOf(entry) {
    const marked = new Set((entry.excerpts || []).flatMap((excerpt) => excerpt.highlights.filter((each) => !each[3]).map((each) => each[2])));
    const rows = entry.values.map((value, at) => {
      const cell = el("td", { className: "value" }, value.text === null ? el("span", { className: "null" }, "none") : el("span", value.ungrounded ? { className: "ungrounded", title: "This value was not found in the text" } : {}, value.text));
      if (value.normalized && value.normalized !== value.text) cell.append(el("span", { className: "normalized", title: "The same in one notation" }, `  = ${value.normalized}`));
      if (value.conflicts) cell.append(el("span", { className: "conflicts" }, `  (also found: ${value.conflicts.join("; ")})`));
      const lang = language(value.text || "");
      if (lang) cell.lang = lang;
      const flags = { ungrounded: "kept, not in the text", example: "of an example, not in the text" };
      const grounding = flags[value.grounding] || (value.ungrounded ? "not in the text" : value.grounding || "");
      const chip = marked.has(at) ? el("button", { type: "button", className: "chip", hue: value.field, "data-value": at, title: "Show in the text" }, labelOf(value)) : el("span", { className: "chip", hue: value.field }, labelOf(value));
      return el("tr", {}, el("td", {}, chip), cell, el("td", { className: "number" }, value.confidence === undefined ? "" : share(value.confidence)), el("td", { className: "grounding" }, grounding));
    });
    if (entry.more) rows.push(el("tr", {}, el("td", { colspan: "4", className: "grounding" }, `${number(entry.more)} more values are not shown`)));
    const head = el("tr", {}, ...["field", "value", "confidence", "place"].map((name) => el("th", { scope: "col", className: name === "confidence" ? "number" : "" }, name)));
    return el("div", { className: "scroll" }, el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows)));
  }

  function withheldOf(values) {
    const why = (value) => (value.code === "confidence" ? `confidence ${value.confidence === null ? "unknown" : share(value.confidence)}` : value.code === "ungrounded" ? "not in the text" : value.code);
    const line = (value) => `${value.field.replaceAll("~1", "/").replaceAll("~0", "~")}: ${value.text} (${why(value)})`;
    return el("ul", { className: "withheld" }, ...values.map((value) => el("li", {}, `withheld: ${line(value)}`)));
  }

  function errorsOf(errors) {
    const line = (error) => [error.attempt ? `attempt ${error.attempt}: ` : "", error.code, error.message ? `: ${error.message}` : ""].join("");
    return el("ul", { className: "errors" }, ...errors.map((error) => el("li", {}, line(error))));
  }

  // Tooltips

  function showTip(mark) {
    const tip = $("tip");
    tip.textContent = mark.tip();
    tip.hidden = false;
    const [box, size] = [mark.getBoundingClientRect(), tip.getBoundingClientRect()];
    const below = box.bottom + 6 + size.height < window.innerHeight;
    tip.style.top = `${Math.max(4, below ? box.bottom + 6 : box.top - size.height - 6)}px`;
    tip.style.left = `${Math.max(4, Math.min(box.left, window.innerWidth - size.width - 8))}px`;
  }

  function hideTip() {
    $("tip").hidden = true;
  }

  // Keys

  function focusCard(step) {
    const cards = [...document.querySelectorAll("article")];
    const at = cards.indexOf(document.activeElement && document.activeElement.closest("article"));
    const next = cards[at < 0 ? 0 : at + step];
    if (next) next.focus();
    if (next) next.scrollIntoView({ block: "nearest" });
  }

  function turn(step) {
    show(state.page + step);
    $("count").scrollIntoView({ block: "nearest" });
  }

  const KEYS = {
    "/": () => $("search").focus(),
    j: () => focusCard(1),
    k: () => focusCard(-1),
    n: () => turn(1),
    p: () => turn(-1),
  };

  function onKey(event) {
    if (event.key === "Escape") hideTip();
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    if (!KEYS[event.key]) return;
    event.preventDefault();
    KEYS[event.key]();
  }

  // Wiring

  const isMark = (node) => node instanceof Element && node.matches("mark");
  for (const [event, action] of [["mouseover", showTip], ["focusin", showTip], ["mouseout", hideTip], ["focusout", hideTip]]) {
    document.addEventListener(event, ({ target }) => isMark(target) && action(target));
  }
  document.addEventListener("keydown", onKey);
  const follow = () => {
    const held = document.querySelector("mark:hover") || document.activeElement;
    if (isMark(held)) showTip(held);
    else hideTip();
  };
  document.addEventListener("scroll", follow, { passive: true, capture: true });
  $("previous").addEventListener("click", () => turn(-1));
  $("next").addEventListener("click", () => turn(1));
  $("filters").addEventListener("input", filter);
  $("filters").addEventListener("reset", () => setTimeout(filter));
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("fields").addEventListener("click", ({ target }) => {
    const chip = target.closest(".chip");
    if (!chip) return;
    $("field").value = $("field").value === chip.dataset.field ? "" : chip.dataset.field;
    filter();
  });
  $("documents").addEventListener("click", ({ target }) => {
    const chip = target.closest("button.chip");
    const mark = chip && chip.closest("article").querySelector(`mark[data-values~="${chip.dataset.value}"]`);
    if (mark) mark.focus();
  });
  $("field").append(el("option", { value: "" }, "any"), ...data.fields.map((_, at) => el("option", { value: String(at) }, nameOf(at))));
  showSummary();
  filter();
})();
