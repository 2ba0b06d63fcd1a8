// Links the figures, tables and answers of items. All numbers and texts are made in Python.
PARTS.push(({ figures, byId, say, state, draw, writeAddress, isNarrow }) => {
  const ROWS = 500; // of a table; more are slow, and nobody reads them
  const SLOTS = 12; // small multiples
  const TRACES = 4; // of each: band, curve, expected, observed
  const GAP = 0.05; // between them, as a share of the figure's width
  const CURVE = 190; // pixels of a row of them
  const SIGNS = { right: "✓", wrong: "✗", "not asked": "·" };
  const explorers = Object.keys(figures).filter((id) => figures[id].kind === "items");
  const boxes = new Map(); // explorer: places inside the box, or of the filter
  const within = (value, [a, b]) => value >= Math.min(a, b) && value <= Math.max(a, b);

  const kept = new Map();
  function column(id, name) {
    const key = `${id} ${name}`;
    if (!kept.has(key)) kept.set(key, unpack(figures[id].columns[name]));
    return kept.get(key);
  }

  const panelOf = (id) => byId(id).closest(".panel");
  const control = (id, name) => panelOf(id).querySelector(`.item-${name}`);
  function opened(id) {
    const [name, place] = state.item.split(".");
    return name === id ? Number(place) : null;
  }
  function isKnown(item) {
    const [id, place] = item.split(".");
    return explorers.includes(id) && /^\d+$/.test(place ?? "") && Number(place) < figures[id].cells.length;
  }

  // Ends of a range of difficulty, as they stand in the address; empty where open.
  function rangeOf(id) {
    const [name, ...ends] = state.range.split("_");
    return name === id ? ends : null;
  }
  function isRange(range) {
    const [id, ...ends] = range.split("_");
    return explorers.includes(id) && control(id, "low") && ends.length === 2
      && ends.some(Boolean) && ends.every((end) => Number.isFinite(Number(end)));
  }
  const limits = (ends, outer) => ends.map((end, i) => (end === "" ? outer[i] : Number(end)));

  function chosenOf(id) {
    const ends = rangeOf(id);
    if (!ends) return boxes.get(id);
    const b = column(id, "b");
    return figures[id].order.filter((j) => within(b[j], limits(ends, [-Infinity, Infinity])));
  }

  // ---- figures ------------------------------------------------------------------

  function headings(id) {
    return [...byId(`${id}-table`).tHead.rows[0].cells].map((cell) => cell.textContent.trim());
  }

  function sentence(id, place) {
    const cells = figures[id].cells[place];
    const words = headings(id).map((name, i) => (cells[i] ? `${name} ${cells[i]}` : ""));
    return words.filter((_, i) => i !== 1).filter(Boolean).join(", ");
  }

  function items(spec, id) {
    const names = ["x", "y"].map((axis) => control(id, axis).value);
    const [xs, ys] = names.map((name) => column(id, name));
    const chosen = chosenOf(id);
    const isLarge = spec.cells.length > spec.maxPoints;
    const isDense = (chosen ?? spec.cells).length > spec.maxPoints;
    const wanted = new Set(chosen);
    spec.layout.xaxis.title.text = spec.axes[names[0]];
    spec.layout.yaxis.title.text = spec.axes[names[1]];
    if (!isNarrow()) spec.layout.dragmode = "select";
    const data = spec.data.filter((trace) => trace.meta.part === (isDense ? "density" : "points"));
    for (const trace of data) {
      if (isDense) {
        Object.assign(trace, { x: xs, y: ys });
        continue;
      }
      const drawable = (j) => Number.isFinite(xs[j]) && Number.isFinite(ys[j]) && (!isLarge || wanted.has(j));
      const places = unpack(trace.customdata).filter(drawable);
      Object.assign(trace, {
        x: places.map((j) => xs[j]),
        y: places.map((j) => ys[j]),
        customdata: places,
        text: places.map((j) => sentence(id, j).replaceAll("<", "&lt;")),
      });
      if (chosen && !isLarge) trace.selectedpoints = places.flatMap((j, at) => (wanted.has(j) ? [at] : []));
    }
    const place = opened(id);
    if (place !== null && Number.isFinite(xs[place]) && Number.isFinite(ys[place])) {
      data.push({
        type: "scatter", mode: "markers", x: [xs[place]], y: [ys[place]], hoverinfo: "skip", showlegend: false,
        marker: { symbol: "circle-open", size: 18, color: spec.layout.font.color, line: { width: 2 } },
      });
    }
    return { data, layout: spec.layout };
  }

  function curves(spec) {
    const { data, layout } = spec;
    const store = figures[spec.explorer].curves;
    const one = opened(spec.explorer);
    const chosen = one === null ? chosenOf(spec.explorer) : [one];
    const places = (chosen ?? []).filter((j) => store.items[j]).slice(0, SLOTS);
    const n = places.length ? Math.min(places.length, layout.annotations.length) : layout.annotations.length;
    for (let slot = 0; places.length && slot < n; slot++) {
      const item = store.items[places[slot]];
      const [band, fitted, expected, observed] = data.slice(TRACES * slot, TRACES * (slot + 1));
      const x = item.x ?? store.x;
      const levels = item.observed.map((code) => store.levels[code]);
      const bins = item.bins ?? store.bins;
      layout.annotations[slot].text = item.title;
      const lines = unpack(item.lines).map((shade) => shade / store.shades);
      const edge = lines.slice(0, -x.length);
      Object.assign(band, { x: [...x, ...[...x].reverse()].slice(0, edge.length), y: edge });
      Object.assign(fitted, { x, y: lines.slice(-x.length) });
      Object.assign(expected, { x: bins, y: item.expected });
      Object.assign(observed, { x: bins, y: levels.map((l) => l[1]), text: levels.map((l) => `${item.title}: ${l[0]}`) });
      observed.error_y.array = levels.map((l) => l[2]);
      observed.error_y.arrayminus = levels.map((l) => l[3]);
    }
    layout.annotations = layout.annotations.slice(0, n);
    const columns = isNarrow() || n < 3 ? 2 : 4;
    const rows = Math.ceil(n / columns);
    const width = (1 - GAP * (columns - 1)) / columns;
    for (let slot = 0; TRACES * slot < spec.data.length; slot++) {
      const [x, y] = ["xaxis", "yaxis"].map((name) => `${name}${slot ? slot + 1 : ""}`);
      if (slot >= n) {
        delete layout[x];
        delete layout[y];
      } else {
        const left = (slot % columns) * (width + GAP);
        const high = 1 - Math.floor(slot / columns) / rows;
        layout[x].domain = [left, Math.min(left + width, 1)];
        layout[y].domain = [high - 0.7 / rows, high];
      }
    }
    // On narrow screens the legend's entries stand below each other.
    layout.margin.t = isNarrow() ? 132 : 64;
    layout.height = layout.margin.t + 16 + CURVE * rows;
    return { data: data.slice(0, TRACES * n), layout };
  }

  // Checkpoints, items and information over ability; a range of it chooses items.
  function wright({ data, layout, explorer, shade }) {
    const ends = rangeOf(explorer);
    if (!isNarrow()) Object.assign(layout, { dragmode: "select", selectdirection: "h" });
    if (ends) {
      const [x0, x1] = limits(ends, layout.xaxis.range);
      layout.shapes = [{
        type: "rect", xref: "x", yref: "paper", x0, x1, y0: 0, y1: 1, layer: "below", fillcolor: shade, line: { width: 0 },
      }];
    }
    return { data, layout };
  }

  function bind(div) {
    const { kind, explorer } = figures[div.id];
    if (kind === "wright")
      div.on("plotly_selected", (event) => {
        if (event?.range) setRange(explorer, ...event.range.x.map((end) => end.toFixed(2)));
      });
    if (kind !== "items") return;
    div.on("plotly_selected", (event) => {
      if (!event?.range) return;
      const [xs, ys] = ["x", "y"].map((axis) => column(div.id, control(div.id, axis).value));
      const places = figures[div.id].order.filter((j) => within(xs[j], event.range.x) && within(ys[j], event.range.y));
      control(div.id, "filter").value = "";
      narrowTo(div.id, places.length ? places : null);
    });
    div.on("plotly_deselect", () => narrowTo(div.id, null));
  }

  // ---- table --------------------------------------------------------------------

  const number = (words) => Number(words.replaceAll(",", "").replace("−", "-"));

  function make(name, words = "", properties = {}) {
    const node = Object.assign(document.createElement(name), properties);
    node.textContent = words;
    return node;
  }

  function fill(id) {
    const table = byId(`${id}-table`);
    const { order, cells } = figures[id];
    const chosen = chosenOf(id);
    const wanted = new Set(chosen);
    const places = chosen ? order.filter((j) => wanted.has(j)) : order;
    const heads = [...table.tHead.rows[0].cells];
    for (const head of heads) head.removeAttribute("aria-sort");
    const place = opened(id);
    table.tBodies[0].replaceChildren(...places.slice(0, ROWS).map((j) => {
      const row = make("tr");
      if (j === place) row.setAttribute("aria-selected", "true");
      row.append(...cells[j].map((words, i) => {
        const cell = make("td", i ? words : "");
        if (!i) {
          const button = make("button", words, { type: "button", className: "open-item" });
          button.setAttribute("aria-label", `Show item ${words}`);
          button.addEventListener("click", () => open(id, j));
          cell.append(button);
        }
        if (heads[i].classList.contains("number")) {
          cell.className = "number";
          if (Number.isFinite(number(words))) cell.dataset.value = number(words);
        }
        return cell;
      }));
      return row;
    }));
    const shown = Math.min(places.length, ROWS).toLocaleString("en");
    const of = places.length > ROWS ? `first ${shown} of ${places.length.toLocaleString("en")}` : shown;
    table.caption.textContent = `${of} ${chosen ? "chosen items" : "items"}, those to look at first on top`;
  }

  function saveAll(id) {
    const quote = (s) => (/[",\n]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s);
    const plainly = (s) => s.replace(/^−(?=[\d.])/, "-");
    const { order, cells } = figures[id];
    const lines = [headings(id), ...order.map((j) => cells[j].map(plainly))].map((line) => line.map(quote).join(","));
    const link = make("a", "", { download: `${id}.csv` });
    link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
    link.click();
    URL.revokeObjectURL(link.href);
  }

  // ---- one item -----------------------------------------------------------------

  function levelOf({ answers, cells }, codes, row, place) {
    const at = row * cells.length + place;
    return answers.levels[answers.bits ? (codes[at >> 3] >> (7 - (at & 7))) & 1 : codes[at]];
  }

  function answersOf(id, place) {
    const { answers } = figures[id];
    if (answers.note) return make("p", `${answers.note}.`);
    const key = `${id} codes`;
    if (!kept.has(key)) kept.set(key, unpack(answers.codes));
    const scroll = make("div", "", { className: "scroll", tabIndex: 0 });
    const table = make("table", "", { className: "answers" });
    table.append(make("caption", "Answers of each run, by training step"));
    const head = table.createTHead().insertRow();
    for (const words of ["Run", ...answers.steps]) head.append(make("th", words, { scope: "col" }));
    const body = table.createTBody();
    const rows = answers.runs.map((name) => {
      const row = body.insertRow();
      row.append(make("th", name, { scope: "row" }), ...answers.steps.map(() => make("td")));
      return row;
    });
    answers.row.forEach((run, r) => {
      const level = levelOf(figures[id], kept.get(key), r, place);
      const cell = rows[run].cells[answers.column[r] + 1];
      const sign = make("span", SIGNS[level] ?? level);
      cell.className = SIGNS[level] ? level.replace(" ", "-") : "";
      cell.replaceChildren(sign);
      if (SIGNS[level]) {
        sign.setAttribute("aria-hidden", "true");
        cell.append(make("span", level, { className: "sr" }));
      }
    });
    scroll.append(table);
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", "Answers of each run");
    return scroll;
  }

  function show(id) {
    showRange(id);
    const drawer = panelOf(id).querySelector(".item-drawer");
    const place = opened(id);
    drawer.hidden = place === null;
    if (place === null) return;
    const cells = figures[id].cells[place];
    const list = make("dl", "", { className: "facts" });
    headings(id).forEach((name, i) => {
      if (i && cells[i]) list.append(make("dt", name), make("dd", cells[i]));
    });
    const close = make("button", "Close", { type: "button" });
    close.addEventListener("click", () => open(id, null));
    drawer.replaceChildren(make("h4", `Item ${cells[0]}`), close, list, answersOf(id, place));
  }

  function showRange(id) {
    if (!control(id, "low")) return;
    const ends = rangeOf(id);
    ["low", "high"].forEach((name, i) => { control(id, name).value = ends?.[i] ?? ""; });
    const of = figures[id].order.length.toLocaleString("en");
    const words = () => `${chosenOf(id).length.toLocaleString("en")} of ${of} items chosen, in the table of items and the curves`;
    control(id, "said").value = ends ? words() : "";
  }

  // ---- selection ----------------------------------------------------------------

  function redraw(id) {
    const others = ["curves", "wright"].map((part) => id.replace("explorer", part));
    fillIfOpen(id);
    show(id);
    return Promise.all([id, ...others].filter((name) => figures[name]).map(draw));
  }

  const fillIfOpen = (id) => { if (byId(`${id}-table`).closest("details").open) fill(id); };

  function narrowTo(id, places) {
    if (places) boxes.set(id, places);
    else boxes.delete(id);
    if (rangeOf(id)) {
      state.range = "";
      writeAddress();
    }
    say(places ? `${places.length.toLocaleString("en")} items chosen` : "All items");
    return redraw(id);
  }

  async function setRange(id, low, high) {
    const before = state.range.split("_")[0];
    state.range = low || high ? [id, low, high].join("_") : "";
    boxes.delete(id);
    control(id, "filter").value = "";
    writeAddress("items");
    if (before && before !== id) await redraw(before);
    await redraw(id);
    say(control(id, "said").value || "All items");
  }

  async function open(id, place) {
    const before = state.item.split(".")[0];
    state.item = place === null ? "" : `${id}.${place}`;
    writeAddress("items");
    if (before && before !== id) await redraw(before);
    await redraw(id);
    say(place === null ? "Item closed" : sentence(id, place));
  }

  const choose = (id, place) => open(id, opened(id) === place ? null : place);
  const pick = (id, place) => (place === undefined ? undefined : choose(id, place));

  async function clear() {
    const some = explorers.filter((id) => boxes.has(id) || rangeOf(id) || opened(id) !== null);
    boxes.clear();
    Object.assign(state, { item: "", range: "" });
    for (const id of some) {
      control(id, "filter").value = "";
      await redraw(id);
    }
    if (some.length) writeAddress();
  }

  function start() {
    for (const id of explorers) {
      panelOf(id).querySelector(".item-tools").hidden = false;
      for (const axis of ["x", "y"]) control(id, axis).addEventListener("change", () => draw(id));
      control(id, "filter").addEventListener("change", ({ target }) =>
        narrowTo(id, target.value ? figures[id].filters[target.value] : null));
      control(id, "all").addEventListener("click", () => saveAll(id));
      byId(`${id}-table`).closest("details").addEventListener("toggle", () => fillIfOpen(id));
      for (const end of control(id, "low") ? ["low", "high"] : [])
        control(id, end).addEventListener("change", () => setRange(id, control(id, "low").value, control(id, "high").value));
      const range = panelOf(id).querySelector(".item-range");
      if (range) range.hidden = false;
      show(id);
    }
  }

  const showAll = () => explorers.forEach((id) => { show(id); fillIfOpen(id); });

  return { shapes: { items, curves, wright }, picks: { items: pick }, keys: { item: isKnown, range: isRange }, bind, clear, show: showAll, start };
});
