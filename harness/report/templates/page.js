// Draws the figures, filters, sorts and saves. All numbers and texts are made in Python.
(async () => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const unpack = async (id) => {
    const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
    const unzipped = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(unzipped).json();
  };
  const each = (selector, action) => document.querySelectorAll(selector).forEach(action);
  const byId = (id) => document.getElementById(id);
  const figures = await unpack("figures");
  const darkOf = read("theme");
  const root = document.documentElement;
  const narrow = matchMedia("(max-width: 640px)");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const PAPER = 680; // pixels between the margins of an A4 page
  const NARROW_ROW = 62;
  const LEGEND_LINE = 30;
  const FILTERS = ["task", "model", "verdict", "state"];
  const state = { task: "", model: "", verdict: "", state: "", text: "", seeds: false, even: false };
  const candidates = new Set(Object.values(figures).flatMap((one) => (one.candidates ?? []).map(({ name }) => name)));
  const chosen = {}; // number of what each figure with a menu shows
  let theme = null; // null follows the system
  let printing = false;

  root.classList.add("js");

  // ---- drawing ----------------------------------------------------------------

  const isDark = () => !printing && (theme ? theme === "dark" : prefersDark.matches);

  function recolour(value) {
    if (typeof value === "string") return darkOf[value] ?? value;
    if (Array.isArray(value)) return value.map(recolour);
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, recolour(v)]));
    return value;
  }

  function trend(spec) {
    const data = spec.data.filter((t) => !state.model || t.meta.model === state.model);
    for (const trace of data) if (trace.meta.part === "seed") trace.visible = state.seeds;
    if (state.even) {
      const steps = [...new Set(data.flatMap((t) => t.x))].sort((a, b) => a - b);
      for (const trace of data) trace.x = trace.x.map(String);
      Object.assign(spec.layout.xaxis, {
        type: "category", categoryorder: "array", categoryarray: steps.map(String),
      });
    }
    if (isNarrow()) {
      // Legend entries stand below each other there, and would take the curves' place.
      const entries = [...data.filter((t) => t.showlegend !== false), ...(spec.layout.shapes ?? [])];
      spec.layout.height += LEGEND_LINE * (entries.length - 1);
    }
    return { data, layout: spec.layout };
  }

  // The rows that the filters leave.
  const fits = (name, has) => !state[name] || has === undefined || has === state[name];
  const says = (words) => !state.text || words.toLowerCase().includes(state.text.toLowerCase());
  const fitting = (rows) => rows.filter((r) => FILTERS.every((name) => fits(name, r[name])) && says(r.label));

  function layRows(layout, shown, height) {
    layout.yaxis.categoryarray = shown.map((r) => r.label);
    layout.yaxis.range = [shown.length - 0.5, -0.5];
    let rowHeight = height;
    if (isNarrow()) {
      // Beside the marks, labels would leave them half of the screen: put them above.
      rowHeight = NARROW_ROW;
      // As annotations: tick labels inside the plot hang plotly 4.1.1 with grouped marks.
      layout.yaxis.showticklabels = false;
      layout.scattergap = 0.72;
      layout.annotations = [...(layout.annotations ?? []), ...shown.map(({ label }) => ({
        text: label, x: 0, xref: "paper", xanchor: "left", y: label, yanchor: "bottom", yshift: 12,
        showarrow: false, font: { size: 12, color: layout.font.color },
      }))];
    }
    layout.height = 110 + rowHeight * shown.length;
  }

  function dots(spec) {
    const shown = fitting(spec.rows);
    const labels = new Set(shown.map((r) => r.label));
    for (const trace of spec.data) {
      const keep = trace.y.map((label) => labels.has(label));
      const only = (list) => list.filter((_, i) => keep[i]);
      for (const key of ["x", "y", "text", "customdata"]) trace[key] = only(trace[key]);
      for (const key of ["array", "arrayminus"]) trace.error_x[key] = only(trace.error_x[key]);
    }
    const { layout } = spec;
    layout.annotations = (layout.annotations ?? []).filter((a) => labels.has(a.y));
    layRows(layout, shown, spec.rowHeight);
    return { data: spec.data, layout };
  }

  // Marks that each belong to a task; lines that belong to none stay.
  function cloud(spec, id) {
    for (const trace of spec.data.filter((t) => t.customdata)) {
      const keep = trace.customdata.map(([, task]) => !state.task || task === state.task);
      const only = (list) => list.filter((_, i) => keep[i]);
      for (const key of ["x", "y", "text", "textposition", "hovertext", "customdata"]) if (trace[key]) trace[key] = only(trace[key]);
      if (Array.isArray(trace.marker.size)) trace.marker.size = only(trace.marker.size);
    }
    for (const part of parts) part.mark?.(spec, id);
    return { data: spec.data, layout: spec.layout };
  }

  // One of several things at a time, as the menu above the figure says.
  function menu({ data, layout, menu }, id) {
    const { y, traces } = menu.choices[chosen[id] ?? 0];
    data.forEach((trace, i) => Object.assign(trace, traces[i]));
    layout.yaxis.title.text = y;
    const { names } = menu;
    if (names.length)
      for (const trace of data)
        trace.text &&= trace.text.map((words, i) => names[i] + words + trace.meta.after);
    for (const trace of data) if (trace.like) trace.hovertext = data[trace.like].text;
    if (isNarrow())
      layout.height += LEGEND_LINE * (data.filter((t) => t.showlegend !== false).length - 1);
    return { data, layout };
  }

  function draw(id) {
    const div = byId(id);
    if (div.closest("[hidden]")) return null;
    const spec = structuredClone(figures[id]);
    let { data, layout } = shapes[spec.kind](spec, id);
    if (isDark()) [data, layout] = [recolour(data), recolour(layout)];
    if (printing) Object.assign(layout, { width: PAPER, autosize: false });
    else layout.autosize = true;
    // Not react(): it keeps the margins of the width before, and the legend overlaps.
    const drawn = Plotly.newPlot(div, data, layout, { displayModeBar: false, responsive: true });
    div.on("plotly_click", ({ points }) => pick(id, points[0].customdata));
    for (const part of parts) part.bind?.(div);
    return drawn;
  }

  const drawAll = () => Promise.all(Object.keys(figures).map(draw));

  // ---- filters, kept in the address ---------------------------------------------

  function applyFilters() {
    const any = (wanted, list) => !wanted || JSON.parse(list).includes(wanted);
    each("tbody tr", (row) => {
      const isTask = row.dataset.task !== undefined;
      // A model that is no candidate, such as the baseline, leaves them all.
      const isOther = candidates.has(state.model) && (row.dataset.candidate ?? state.model) !== state.model;
      row.hidden = isOther || FILTERS.some((name) => !fits(name, row.dataset[name])) || (isTask && !says(wordsOf(row.cells[0])));
    });
    each("th[data-model], td[data-model]", (cell) => { cell.hidden = !fits("model", cell.dataset.model); });
    each(".panel", (panel) => {
      panel.hidden = !any(state.task, panel.dataset.tasks) || !any(state.model, panel.dataset.models);
    });
    for (const name of [...FILTERS, "text"]) if (byId(`filter-${name}`)) byId(`filter-${name}`).value = state[name];
  }

  function writeAddress(section) {
    const query = new URLSearchParams();
    for (const name of Object.keys(keys)) if (state[name]) query.set(name, state[name]);
    const anchor = section ?? location.hash.slice(1).split("?")[0];
    const hash = anchor + (query.size ? `?${query}` : "");
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  }

  function readAddress() {
    const [anchor, query = ""] = location.hash.slice(1).split("?");
    const wanted = new URLSearchParams(query);
    for (const [name, isKnown] of Object.entries(keys)) {
      const value = wanted.get(name) ?? "";
      state[name] = isKnown(value) ? value : "";
    }
    return anchor;
  }

  async function select(change) {
    Object.assign(state, change);
    applyFilters();
    for (const part of parts) part.show?.();
    writeAddress();
    const narrowed = [...FILTERS, "text"].map((name) => state[name]).filter(Boolean);
    say(narrowed.length ? `Showing ${narrowed.join(", ")}` : "Showing everything");
    await drawAll();
  }

  // A point names its model and task; the same point again shows everything.
  const choose = (custom) => { if (custom) select({ task: state.task === custom[1] ? "" : custom[1] }); };

  // Or it names what another figure should show.
  const pick = (id, custom) => {
    for (const { picks } of parts) if (picks?.[figures[id].kind]) return picks[figures[id].kind](id, custom);
    const { picks } = figures[id].menu ?? {};
    if (!picks) choose(custom);
    else if (custom !== undefined) turn(picks, custom);
  };

  function turn(id, number) {
    const select = document.querySelector(`.menu select[data-for="${id}"]`);
    select.value = number;
    chosen[id] = Number(number);
    say(`Showing ${select.selectedOptions[0].text}`);
    return draw(id);
  }

  // ---- keyboard ------------------------------------------------------------------

  const say = (words) => { byId("live").textContent = words; };
  const plain = (label) =>
    label.replaceAll("&#123;", "{").replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

  // Cells of a map, as points that the arrow keys walk over.
  const cells = ({ x, y, z, hovertext, customdata }, curve) =>
    z.flatMap((line, r) => line.map((value, c) => (
      { curve, point: c, place: { xval: c, yval: r }, x: x[c], y: y[r], row: r,
        label: hovertext?.[r][c] ?? `${y[r]}, ${x[c]}: ${value}`, custom: customdata?.[r][c] })));

  function pointsOf(div) {
    const rank = (y) => (div.layout.yaxis.type === "category" ? div.layout.yaxis.categoryarray.indexOf(y) : 0);
    const points = div.data.flatMap((trace, curve) =>
      trace.type === "heatmap" ? cells(trace, curve) : Array.isArray(trace.hovertext ?? trace.text)
        ? (trace.hovertext ?? trace.text).map((label, point) => ({
            curve, point, label, x: trace.x[point], y: trace.y[point], row: rank(trace.y[point]), custom: trace.customdata?.[point],
          }))
        : [],
    );
    // What is not defined has words but no place.
    return points.filter(({ y }) => y !== null).sort((a, b) => a.row - b.row || a.curve - b.curve || a.point - b.point);
  }

  function move(div, key) {
    const points = pointsOf(div);
    if (!points.length) return;
    const at = Number(div.dataset.at ?? -1);
    const now = points[at];
    const isDots = ["dots", "stack", "forest", "flips"].includes(figures[div.id].kind);
    const isMap = ["map", "pairs"].includes(figures[div.id].kind);
    let next = at;
    if (key === "Home" || !now) next = 0;
    else if (key === "End") next = points.length - 1;
    else if (key === "ArrowRight") next = Math.min(at + 1, points.length - 1);
    else if (key === "ArrowLeft") next = Math.max(at - 1, 0);
    else {
      const sign = key === "ArrowDown" ? 1 : -1;
      // A mean has its own place in each row, a cell that of its item.
      const below = (p) => p.curve === now.curve && (p.curve > 0 || p.x === now.x) && sign * (p.row - now.row) > 0;
      const other = (p) => (isMap ? below(p) : isDots ? sign * (p.row - now.row) > 0 : sign * (p.curve - now.curve) > 0 && p.x === now.x);
      const found = points.map((p, i) => [p, i]).filter(([p]) => other(p));
      if (found.length) next = found[sign > 0 ? 0 : found.length - 1][1];
    }
    div.dataset.at = next;
    const { curve, point, label, place = { pointNumber: point } } = points[next];
    const { xaxis = "x", yaxis = "y" } = div.data[curve];
    Plotly.Fx.hover(div, [{ curveNumber: curve, ...place }], xaxis + yaxis);
    say(plain(label));
  }

  function onKey(event) {
    const div = event.currentTarget;
    if (["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"].includes(event.key)) {
      event.preventDefault();
      move(div, event.key);
    } else if (event.key === "Enter" && div.dataset.at !== undefined) {
      pick(div.id, pointsOf(div)[Number(div.dataset.at)]?.custom);
    }
  }

  // ---- tables --------------------------------------------------------------------

  const valueOf = (row, column) => row.cells[column].dataset.value ?? null;
  const wordsOf = (cell) => [...cell.childNodes].map((n) => n.textContent.trim()).filter(Boolean).join(" ");

  function sort(head) {
    const rising = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const column = head.cellIndex;
    const body = head.closest("table").tBodies[0];
    const isNumber = head.classList.contains("number");
    const sign = rising ? 1 : -1;
    const rows = [...body.rows].sort((a, b) => {
      if (!isNumber) return sign * wordsOf(a.cells[column]).localeCompare(wordsOf(b.cells[column]), "en");
      const [x, y] = [valueOf(a, column), valueOf(b, column)];
      // What is not defined stays at the end, whichever way the rest goes.
      if (x === null || y === null) return (x === null) - (y === null);
      return sign * (Number(x) - Number(y));
    });
    body.append(...rows);
  }

  function saveCsv(table, name) {
    const quote = (s) => (/[",\n]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s);
    // A cell that begins like a formula would be run by a spreadsheet.
    const safe = (s) => (/^[=+\-@\t]/.test(s) && Number.isNaN(Number(s)) ? `'${s}` : s);
    const lines = [...table.rows].filter((row) => !row.hidden).map((row) =>
      [...row.cells].filter((cell) => !cell.hidden)
        .map((cell) => quote(safe(cell.dataset.value ?? wordsOf(cell)))).join(","),
    );
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
    link.download = `${name}.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  }

  // ---- theme and print -----------------------------------------------------------

  function showTheme() {
    if (theme && !printing) root.dataset.theme = theme;
    else if (printing) root.dataset.theme = "light";
    else delete root.dataset.theme;
    byId("theme-button").textContent = isDark() ? "Light" : "Dark";
  }

  function print(on) {
    if (on === printing) return;
    printing = on;
    each("details", (d) => {
      if (on && !d.open) { d.open = true; d.dataset.opened = ""; }
      else if (!on && "opened" in d.dataset) { d.open = false; delete d.dataset.opened; }
    });
    showTheme();
    drawAll();
  }

  // ---- parts of sections -----------------------------------------------------------

  const isNarrow = () => narrow.matches && !printing;
  const parts = PARTS.map((make) => make({
    figures, byId, each, say, state, chosen, draw, select, turn, writeAddress, fitting, fits, layRows, menu, plain, isNarrow, legendLine: LEGEND_LINE,
  }));
  const shapes = Object.assign({ cloud, dots, menu, trend, plain: ({ data, layout }) => ({ data, layout }) }, ...parts.map((part) => part.shapes));
  const keys = {
    ...Object.fromEntries(FILTERS.map((name) =>
      [name, (value) => [...(byId(`filter-${name}`)?.options ?? [])].some((o) => o.value === value)])),
    text: () => Boolean(byId("filter-text")),
    ...Object.assign({}, ...parts.map((part) => part.keys)),
  };
  for (const name of Object.keys(keys)) state[name] ??= "";

  // ---- start -----------------------------------------------------------------------

  byId("theme-button").hidden = false;
  byId("theme-button").addEventListener("click", () => {
    theme = isDark() ? "light" : "dark";
    showTheme();
    drawAll();
  });
  prefersDark.addEventListener("change", () => { showTheme(); drawAll(); });
  narrow.addEventListener("change", drawAll);
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  matchMedia("print").addEventListener("change", (event) => print(event.matches));
  addEventListener("hashchange", () => {
    const shown = () => Object.keys(keys).map((name) => state[name]).join(" ");
    const before = shown();
    // A plain anchor, such as a caution's, leaves the filters as they are.
    if (!location.hash.includes("?")) return writeAddress();
    readAddress();
    if (before !== shown()) select({});
    return undefined;
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const part of parts) part.clear?.();
    const narrowing = [...FILTERS, "text"];
    if (narrowing.some((name) => state[name])) select(Object.fromEntries(narrowing.map((name) => [name, ""])));
  });
  if (byId("filters")) {
    byId("filters").hidden = false;
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    for (const name of FILTERS) byId(`filter-${name}`)?.addEventListener("change", (e) => select({ [name]: e.target.value }));
    byId("filter-text")?.addEventListener("input", (e) => select({ text: e.target.value.trim() }));
    byId("show-seeds")?.addEventListener("change", (e) => select({ seeds: e.target.checked }));
    byId("even-steps")?.addEventListener("change", (e) => select({ even: e.target.checked }));
  }
  each(".menu select[data-for]", (s) => {
    if (!figures[s.dataset.for].candidates) s.addEventListener("change", () => turn(s.dataset.for, s.value));
  });
  each(".sort", (b) => b.addEventListener("click", () => sort(b.closest("th"))));
  each(".csv", (b) => b.addEventListener("click", () => saveCsv(byId(b.dataset.table), b.dataset.table)));
  each(".image", (b) => b.addEventListener("click", () => {
    Plotly.downloadImage(byId(b.dataset.for), { format: b.dataset.format, filename: b.dataset.for, scale: 2 });
  }));
  const anchor = readAddress();
  for (const part of parts) part.start?.();
  for (const part of parts) part.show?.();
  showTheme();
  applyFilters();
  await drawAll();
  each(".plot", (div) => {
    div.addEventListener("keydown", onKey);
    div.addEventListener("blur", () => { if (div._fullLayout) Plotly.Fx.unhover(div); });
  });
  if (location.hash.includes("?") && anchor) byId(anchor)?.scrollIntoView();
  document.body.dataset.ready = "true";
})();
