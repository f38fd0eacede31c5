"use strict";
// Shows a row, sends what is clicked and typed, shows what comes back. What a value may be is for the server to say.
// Places count UTF-16 units, as strings do here. Text of documents only ever becomes text nodes, never markup.
(() => {
  const BLOCK = 1000; // characters of a block of the text, at least
  const $ = (id) => document.getElementById(id);
  const state = { rows: [], at: -1, kept: new Map(), current: "", places: [], chosen: -1, refused: {}, typing: 0, dragged: false, turning: false, shown: null, busy: Promise.resolve() };
  let words = WORDS.en;

  const say = (word, ...values) => values.reduce((text, value) => text.replace("{}", () => String(value)), words[word] ?? word);

  function el(tag, properties, ...children) {
    const { className, text, ...rest } = properties || {};
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    for (const [name, value] of Object.entries(rest)) node.setAttribute(name, value);
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  }

  const written = (value) => (value === null ? "" : typeof value === "string" ? value : JSON.stringify(value));
  const hueOf = (field) => String(Math.round((field * 137.508 + 210) % 360));
  const row = () => state.kept.get(state.at);
  const lineOf = (pointer) => row().form.find((line) => line.pointer === pointer);

  async function ask(question, body) {
    const answer = await fetch(question, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body || {}) });
    if (!answer.ok) throw new Error(`${question}: ${answer.status}`);
    return answer.json();
  }

  /** Do one thing after the other: what is typed quickly is answered in its order. */
  function queue(task) {
    state.busy = state.busy.then(task).catch((error) => {
      console.error(error.message);
      note(say("unsaved"));
    });
    return state.busy;
  }

  function note(text, isGood = false) {
    $("message").textContent = text;
    $("message").classList.toggle("good", isGood);
  }

  /** The language of a text, so that the right forms of Han characters are chosen. */
  function language(text) {
    if (/[\u3040-\u30ff]/.test(text)) return "ja";
    if (/[\uac00-\ud7af]/.test(text)) return "ko";
    return /[\u4e00-\u9fff]/.test(text) ? "zh-Hans" : "";
  }

  // The text

  /** Ranges of the text that are marked: values, places that the current field can have, the one that is chosen. */
  function ranges() {
    const found = [];
    for (const line of row().form) {
      for (const [start, end] of row().draft.spans[line.pointer] || []) {
        found.push({ start, end, field: line.field, pointer: line.pointer, rank: line.pointer === state.current ? 1 : 2 });
      }
    }
    const line = lineOf(state.current);
    const taken = new Set((row().draft.spans[state.current] || []).map(String));
    state.places.forEach(({ span }, at) => {
      if (at !== state.chosen && taken.has(String(span))) return;
      found.push({ start: span[0], end: span[1], field: line ? line.field : 0, place: at, rank: at === state.chosen ? 0 : 3 });
    });
    return found.filter((each) => each.start < each.end);
  }

  /** A text in blocks that end at line ends, so that of a long one only what has changed is laid out again. */
  function blocksOf(text) {
    const blocks = [];
    for (let start = 0, end; start < text.length; start = end) {
      end = text.indexOf("\n", start + BLOCK) + 1 || text.length;
      blocks.push({ start, end, key: null, node: el("div", { className: "block" }) });
    }
    return blocks;
  }

  function showText() {
    const found = ranges().sort((a, b) => a.start - b.start);
    if (state.shown !== row()) {
      row().blocks = blocksOf(row().text);
      $("text").replaceChildren(...row().blocks.map((block) => block.node));
      $("text").lang = language(row().text.slice(0, BLOCK));
      state.shown = row();
    }
    let open = [];
    let next = 0;
    for (const block of row().blocks) {
      while (next < found.length && found[next].start < block.end) open.push(found[next++]);
      open = open.filter((each) => each.end > block.start);
      const key = JSON.stringify(open);
      if (key !== block.key) block.node.replaceChildren(...piecesOf(block, open));
      block.key = key;
    }
  }

  function piecesOf(block, found) {
    const inside = found.flatMap((each) => [each.start, each.end]).filter((at) => block.start < at && at < block.end);
    const borders = [...new Set([block.start, ...inside, block.end])].sort((a, b) => a - b);
    return borders.slice(1).map((end, at) => {
      const piece = row().text.slice(borders[at], end);
      const around = found.filter((each) => each.start <= borders[at] && end <= each.end);
      if (!around.length) return document.createTextNode(piece);
      return markOf(around.sort((a, b) => a.rank - b.rank || a.end - a.start - (b.end - b.start)), piece);
    });
  }

  function markOf(around, piece) {
    const [first] = around;
    const place = around.find((each) => each.place !== undefined);
    const node = el("mark", { className: first.rank === 0 ? "chosen" : first.place !== undefined ? "place" : first.rank === 1 ? "current" : "" }, piece);
    node.style.setProperty("--hue", hueOf(first.field));
    if (place) node.dataset.place = place.place;
    const value = around.find((each) => each.pointer !== undefined);
    if (value) node.dataset.pointer = value.pointer;
    node.title = value ? lineOf(value.pointer).label : "";
    return node;
  }

  /** The selection in the text as a range of its characters; null where there is none. */
  function selected() {
    const selection = window.getSelection();
    if (!selection.rangeCount || selection.isCollapsed) return null;
    const range = selection.getRangeAt(0);
    const pane = $("text");
    if (!pane.contains(range.startContainer) || !range.intersectsNode(pane)) return null;
    const start = distance(pane, range.startContainer, range.startOffset);
    const end = pane.contains(range.endContainer) ? distance(pane, range.endContainer, range.endOffset) : row().text.length;
    return start < end ? [start, end] : null;
  }

  function distance(pane, node, offset) {
    const before = document.createRange();
    before.setStart(pane, 0);
    before.setEnd(node, offset);
    return before.toString().length;
  }

  function reveal(selector) {
    const node = document.querySelector(selector);
    if (node) node.scrollIntoView({ block: "nearest" });
  }

  // The fields

  function showFields() {
    const held = $("right").scrollTop;
    $("fields").replaceChildren(...row().form.map(fieldOf));
    $("right").scrollTop = held;
  }

  function fieldOf(line) {
    const { draft } = row();
    const refused = state.refused[line.pointer];
    const node = el("div", { className: "field", tabindex: line.pointer === state.current ? "0" : "-1", role: "group", "aria-label": line.label });
    node.dataset.pointer = line.pointer;
    node.classList.toggle("current", line.pointer === state.current);
    node.classList.toggle("refuses", Boolean(refused));
    node.style.setProperty("--hue", hueOf(line.field));
    node.style.setProperty("--depth", String(line.depth));
    node.append(headOf(line, draft));
    if (line.kind === "value") node.append(inputOf(line));
    const others = (draft.about[line.pointer] || {}).others;
    if (others) node.append(othersOf(line, others));
    if (refused) node.append(el("div", { className: "refused", role: "alert", text: say(refused.code, refused.message) }));
    return node;
  }

  function headOf(line, draft) {
    const about = draft.about[line.pointer] || {};
    const places = (draft.spans[line.pointer] || []).length;
    const said = [line.kind === "list" ? say("items", line.count) : line.type];
    if (about.confidence !== undefined) said.push(say("confidence", about.confidence.toFixed(2)));
    if (places > 1) said.push(say("places", places));
    const head = el("header", {}, el("span", { className: "label", text: line.label, title: line.description }), el("span", { className: "about", text: said.join(" · ") }));
    const warning = about.odd ? "odd" : line.missing ? "missing" : "";
    if (warning) head.append(el("span", { className: "about warn", text: say(warning) }));
    const tools = el("span", { className: "tools" });
    if (line.addable) tools.append(el("button", { type: "button", "data-edit": "add", tabindex: "-1", text: `+ ${say("add")}` }));
    if (line.removable) tools.append(el("button", { type: "button", "data-edit": "remove", tabindex: "-1", text: `− ${say("remove")}` }));
    head.append(tools);
    return head;
  }

  function inputOf(line) {
    if (line.options) {
      const input = el("select", { tabindex: "-1", "aria-label": line.label }, el("option", { value: "", text: say("none") }));
      line.options.forEach((option, at) => {
        const shown = option === true ? say("yes") : option === false ? say("no") : String(option);
        const node = el("option", { value: String(at), text: shown });
        if (line.value !== null && option === line.value) node.selected = true;
        input.append(node);
      });
      return input;
    }
    const text = written(line.value);
    const input = el("textarea", { rows: "1", tabindex: "-1", "aria-label": line.label, spellcheck: "false", placeholder: say("none"), dir: "auto" });
    input.value = text;
    input.lang = language(text);
    return input;
  }

  function othersOf(line, others) {
    const buttons = others.map(([value, span]) => {
      const node = el("button", { type: "button", tabindex: "-1", text: written(value) });
      if (span) node.dataset.span = span.join(" ");
      node.disabled = !span;
      return node;
    });
    return el("div", { className: "others" }, say("others"), ...buttons);
  }

  const fieldNode = (pointer) => [...document.querySelectorAll(".field")].find((node) => node.dataset.pointer === pointer);
  const inputNode = (pointer) => fieldNode(pointer)?.querySelector("textarea, select");
  const isTyping = (node) => node instanceof HTMLElement && node.matches("textarea, select, input");

  /** Make a field the current one. Its value's other places are marked, so that a click moves it there. */
  function choose(pointer, focus = true) {
    state.current = pointer;
    state.places = [];
    state.chosen = -1;
    for (const node of document.querySelectorAll(".field")) {
      const current = node.dataset.pointer === pointer;
      node.classList.toggle("current", current);
      node.tabIndex = current ? 0 : -1;
    }
    const node = fieldNode(pointer);
    if (node && focus) node.focus({ preventScroll: true });
    if (node) node.scrollIntoView({ block: "nearest" });
    showText();
    reveal("mark.current");
    const line = lineOf(pointer);
    if (line && line.kind === "value" && line.value !== null && !line.options) find(String(inputNode(pointer).value), false);
  }

  function step(by) {
    const { form } = row();
    const at = form.findIndex((line) => line.pointer === state.current);
    const next = form[Math.min(Math.max(at + by, 0), form.length - 1)];
    if (next) choose(next.pointer);
  }

  // Typing: what is typed is looked for in the text, and taken with its place

  function find(typed, choosing) {
    const [at, pointer, turn] = [state.at, state.current, ++state.typing];
    return queue(async () => {
      if (turn !== state.typing || at !== state.at) return;
      const { places } = await ask("find", { row: at, draft: row().draft, pointer, typed });
      if (turn !== state.typing || at !== state.at || pointer !== state.current) return;
      state.places = places;
      const held = (row().draft.spans[pointer] || []).map(String);
      const same = places.findIndex(({ span }) => held.includes(String(span)));
      state.chosen = choosing && places.length ? Math.max(0, same) : -1;
      showText();
      reveal("mark.chosen");
    });
  }

  /** Choose another place, of those for all that has been typed by now. */
  function cycle(by) {
    return queue(() => {
      if (!state.places.length) return;
      const from = state.chosen < 0 && by < 0 ? 0 : state.chosen;
      state.chosen = (from + by + state.places.length) % state.places.length;
      showText();
      reveal("mark.chosen");
    });
  }

  /** Take what is typed, at the place that is chosen. */
  function take() {
    const pointer = state.current;
    const typed = inputNode(pointer).value;
    fieldNode(pointer).focus({ preventScroll: true }); // the next key is a command, however long the answer takes
    return queue(async () => {
      const line = lineOf(pointer);
      if (!line || pointer !== state.current) return;
      if (!typed.trim()) return edit({ edit: "blank", pointer });
      const chosen = state.places[state.chosen];
      if (!chosen && typed === written(line.value)) return choose(pointer);
      const value = chosen && line.ground === "verbatim" ? chosen.value : typed;
      await edit({ edit: "type", pointer, value, span: chosen ? chosen.span : null });
    });
  }

  // Edits

  /** Queue an edit of the field that is current now. */
  function change(what) {
    const pointer = state.current;
    return queue(() => edit({ pointer, ...what }));
  }

  async function edit(change) {
    const { pointer } = change;
    if (!lineOf(pointer)) return note(say("choose"));
    const answer = await ask("edit", { row: state.at, draft: row().draft, ...change });
    note("");
    if (answer.refused) {
      Object.assign(state.refused, answer.refused);
      const typed = inputNode(pointer)?.value;
      showFields();
      if (typed !== undefined && change.edit === "type") inputNode(pointer).value = typed;
      return choose(pointer);
    }
    state.refused = {};
    Object.assign(row(), { draft: answer.draft, form: answer.form, touched: true });
    showFields();
    const target = lineOf(answer.pointer) ? answer.pointer : (row().form[0] || {}).pointer;
    choose(change.edit === "remove" && lineOf(change.next) ? change.next : target);
  }

  function blank() {
    const line = lineOf(state.current);
    if (!line) return note(say("choose"));
    if (line.removable && line.kind === "value") return remove();
    return change({ edit: "blank" });
  }

  function add() {
    const line = lineOf(state.current);
    const target = line && line.addable ? line : row().form.filter((each) => each.addable && state.current.startsWith(`${each.pointer}/`)).pop();
    if (!target) return;
    const name = target.named ? window.prompt(say("name")) : null;
    if (target.named && !name) return;
    return change({ edit: "add", pointer: target.pointer, ...(name ? { name } : {}) });
  }

  function remove() {
    const line = lineOf(state.current);
    const target = line && line.removable ? line : row().form.filter((each) => each.removable && state.current.startsWith(`${each.pointer}/`)).pop();
    if (!target) return;
    return change({ edit: "remove", pointer: target.pointer, next: target.pointer.replace(/\/[^/]*$/, "") });
  }

  // Rows

  async function show(at) {
    if (at < 0 || at >= state.rows.length) return;
    if (!state.kept.has(at)) state.kept.set(at, await ask("row", { row: at }));
    state.at = at;
    state.refused = {};
    const summary = state.rows[at];
    $("name").textContent = summary.id;
    $("status").textContent = say(summary.status);
    $("status").className = `badge ${summary.status}`;
    $("decision").textContent = summary.decision ? say(summary.decision) : "";
    $("decision").className = `badge ${summary.decision || ""}`;
    const decided = state.rows.filter((each) => each.decision).length;
    $("progress").textContent = say("progress", at + 1, state.rows.length, decided, state.by);
    $("rows").value = String(at);
    const { earlier, errors, withheld } = row();
    const before = earlier.decision ? [say("earlier", say(earlier.decision), earlier.decided_by, earlier.decided_at)] : [];
    $("notes").textContent = [...before, ...(summary.status === "ok" ? [] : errors.map((error) => `${error.code}: ${error.message}`))].join("\n");
    $("withheld").replaceChildren(...withheld.map((each) => el("li", { text: say("withheld", each.field, written(each.value)) })));
    showFields();
    $("text").scrollTop = 0;
    $("right").scrollTop = 0;
    choose((row().form[0] || {}).pointer);
  }

  function option(summary, at) {
    const sign = { accepted: "✓", corrected: "✓", skipped: "–" }[summary.decision] || "·";
    return el("option", { value: String(at), text: `${sign} ${at + 1}. ${summary.id}` });
  }

  async function decide(body) {
    const at = state.at;
    const answer = await ask("decide", { row: at, ...body });
    if (answer.refused) {
      state.refused = answer.refused;
      note(say("rejected", Object.keys(answer.refused).length));
      showFields();
      const first = row().form.find((line) => answer.refused[line.pointer]);
      choose(first ? first.pointer : state.current);
      if (!first) note(Object.values(answer.refused).map((each) => say(each.code, each.message)).join(" "));
      return;
    }
    state.rows[at] = answer.saved;
    $("rows").options[at].text = option(answer.saved, at).text;
    state.kept.delete(at);
    const after = (number) => (number + at + 1) % state.rows.length;
    const next = state.rows.map((_, number) => after(number)).find((number) => !state.rows[number].decision);
    await show(next === undefined ? at : next);
    note(say(next === undefined ? "done" : "saved"), true);
  }

  /** The field that shows what was typed and refused, if one does. */
  function refusedField() {
    return Object.keys(state.refused).find((pointer) => {
      const [input, line] = [inputNode(pointer), lineOf(pointer)];
      return input && line && input.matches("textarea") && input.value !== written(line.value);
    });
  }

  /** Accept what is shown; what is being typed is taken first, and must not have been refused. */
  function accept() {
    const input = document.activeElement;
    const line = lineOf(state.current);
    const typed = isTyping(input) && input.matches("textarea") && line && input.value !== written(line.value);
    if (typed) take();
    return queue(() => {
      const refused = refusedField();
      return refused === undefined ? decide({ draft: row().draft }) : choose(refused);
    });
  }

  const skip = () => queue(() => decide({ skip: true }));
  const move = (by) => queue(() => show(state.at + by));

  /** Do nothing while another row is on its way: nobody decides on a row before it is shown. */
  const whenShown = (action) => async () => {
    if (state.turning) return;
    state.turning = true;
    await action();
    state.turning = false;
  };

  // Keys

  const turns = { previous: whenShown(() => move(-1)), next: whenShown(() => move(1)), accept: whenShown(accept), skip: whenShown(skip) };

  const KEYS = {
    j: turns.next,
    k: turns.previous,
    a: turns.accept,
    b: blank,
    Delete: blank,
    s: turns.skip,
    "+": add,
    "-": remove,
    "?": () => $("keys").showModal(),
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
    Enter: () => startTyping(),
  };

  function startTyping() {
    const input = inputNode(state.current);
    if (!input) return lineOf(state.current)?.addable ? add() : undefined;
    input.focus();
    if (input.select) input.select();
  }

  function leave() {
    state.typing += 1;
    const pointer = state.current;
    showFields();
    choose(pointer);
  }

  function onTypingKey(event) {
    const listed = event.target.matches("select");
    if (event.key === "Escape") leave();
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) turns.accept();
    else if (event.key === "Enter" && listed) choose(state.current);
    else if (event.key === "Enter" && !event.shiftKey) take();
    else if (!listed && event.key === "ArrowDown") cycle(1);
    else if (!listed && event.key === "ArrowUp") cycle(-1);
    else return;
    event.preventDefault();
  }

  document.addEventListener("keydown", (event) => {
    if (!row() || $("keys").open || event.isComposing || (event.repeat && "as".includes(event.key))) return;
    if (event.target.closest(".field") && isTyping(event.target)) return onTypingKey(event);
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (event.key === "Enter" && event.target.closest("button, a")) return;
    const action = KEYS[event.key];
    const scrolls = event.key.startsWith("Arrow") && $("text").contains(event.target);
    if (!action || scrolls) return;
    event.preventDefault();
    action();
  });

  // Mouse

  document.addEventListener("mouseup", (event) => {
    if (event.button !== 0 || !row()) return;
    const span = selected();
    if (span && $("left").contains(event.target.nodeType === 1 ? event.target : event.target.parentNode)) {
      window.getSelection().removeAllRanges();
      state.dragged = true;
      change({ edit: "select", span });
    }
  });

  $("text").addEventListener("click", ({ target }) => {
    const mark = target.closest("mark");
    const { dragged } = state;
    state.dragged = false;
    if (!mark || dragged) return;
    if (mark.dataset.place !== undefined) {
      state.chosen = Number(mark.dataset.place);
      change({ edit: "select", span: state.places[state.chosen].span });
    } else choose(mark.dataset.pointer);
  });

  $("fields").addEventListener("click", ({ target }) => {
    const node = target.closest(".field");
    if (!node) return;
    const button = target.closest("button");
    if (node.dataset.pointer !== state.current) choose(node.dataset.pointer, !isTyping(target));
    if (button && button.dataset.span) change({ edit: "select", span: button.dataset.span.split(" ").map(Number) });
    else if (button && button.dataset.edit === "add") add();
    else if (button) remove();
  });

  $("fields").addEventListener("focusin", ({ target }) => {
    const node = target.closest(".field");
    if (node.dataset.pointer !== state.current) choose(node.dataset.pointer, false);
  });

  $("fields").addEventListener("input", ({ target }) => {
    if (target.matches("textarea")) find(target.value, true);
  });

  $("fields").addEventListener("change", ({ target }) => {
    if (!target.matches("select")) return;
    const line = lineOf(target.closest(".field").dataset.pointer);
    if (target.value === "") change({ edit: "blank", pointer: line.pointer });
    else change({ edit: "type", pointer: line.pointer, value: line.options[Number(target.value)], span: null });
  });

  $("rows").addEventListener("change", ({ target }) => queue(() => show(Number(target.value))));
  for (const [id, action] of Object.entries({ ...turns, blank, help: KEYS["?"] })) $(id).addEventListener("click", action);
  window.addEventListener("beforeunload", (event) => {
    if ([...state.kept.values()].some((each) => each.touched)) event.preventDefault();
  });

  function speak(language) {
    words = WORDS[language];
    document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
    for (const node of document.querySelectorAll("[data-word]")) {
      node.textContent = say(node.dataset.word);
      if (node.dataset.key) node.append(el("kbd", { text: node.dataset.key }));
    }
    $("keys-table").replaceChildren(...words.help_keys.map(([keys, what]) => el("tr", {}, el("td", {}, ...keys.split(" ").filter(Boolean).map((key) => el("kbd", { text: key }))), el("td", { text: what }))));
  }

  queue(async () => {
    const session = await ask("session");
    const preferred = (navigator.languages || [navigator.language]).find((each) => /^(zh|en)/i.test(each)) || "en";
    speak(session.language || (/^zh/i.test(preferred) ? "zh" : "en"));
    Object.assign(state, { rows: session.rows, by: session.by });
    document.title = `${session.gold} – extractor review`;
    $("rows").replaceChildren(...session.rows.map(option));
    const first = session.rows.findIndex((each) => !each.decision);
    await show(Math.max(0, first));
  });
})();
