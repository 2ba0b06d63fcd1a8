// One candidate at a time, its rows, flipped items and pairs. All numbers are made in Python.
PARTS.push(({ figures, byId, say, state, chosen, select, fitting, layRows, isNarrow }) => {
  // Under labels, bars are thinner; their words need more of a narrow figure.
  const NARROW_BAR = 0.28, NARROW_RANGE = 1.5;
  const CELL = 44; // pixels of a cell of a map of pairs
  const ORDERS = {
    value: (a, b) => b.value - a.value,
    name: (a, b) => a.label.localeCompare(b.label, "en"),
    n: (a, b) => b.n - a.n,
  };

  // The candidate that is chosen, or the first.
  const candidateOf = ({ candidates }) => candidates.find(({ name }) => name === state.model) ?? candidates[0];
  const menuOf = (id) => document.querySelector(`.menu select[data-for="${id}"]`);

  function take(spec, id) {
    const one = candidateOf(spec);
    const menu = menuOf(id);
    if (menu) menu.value = spec.candidates.indexOf(one);
    return one;
  }

  function keep(spec, traces, shown) {
    const labels = new Set(shown.map((row) => row.label));
    spec.data.forEach((trace, i) => {
      const { error_x, ...lists } = traces[i];
      const kept = lists.y.map((label) => labels.has(label));
      const only = (list) => list.filter((_, at) => kept[at]);
      for (const [key, list] of Object.entries(lists)) trace[key] = Array.isArray(list) ? only(list) : list;
      if (error_x) for (const [key, list] of Object.entries(error_x)) trace.error_x[key] = only(list);
      if (!trace.y.length) trace.showlegend = false;
    });
  }

  function forest(spec, id) {
    const { rows, traces, range } = take(spec, id);
    const shown = fitting(rows);
    const order = ORDERS[byId("forest-order").value];
    if (order) shown.sort((a, b) => a.last - b.last || (a.value === null) - (b.value === null) || order(a, b));
    keep(spec, traces, shown);
    const { layout } = spec;
    layout.xaxis.range = range;
    layout.annotations = shown.filter((row) => row.note).map(({ label, note }) => ({
      text: note, x: 0.01, xref: "paper", xanchor: "left", y: label, showarrow: false, align: "left",
      font: { size: 12, color: layout.hoverlabel.bordercolor },
    }));
    layRows(layout, shown, spec.rowHeight);
    // A name has no room there, and would lose both its ends.
    if (isNarrow()) layout.xaxis.title.text = "candidate − baseline";
    return { data: spec.data, layout };
  }

  function flips(spec, id) {
    const { rows, traces, axis } = take(spec, id);
    const shown = fitting(rows);
    keep(spec, traces, shown);
    Object.assign(spec.layout.xaxis, axis);
    if (isNarrow()) {
      spec.layout.xaxis.range = axis.range.map((end) => end * NARROW_RANGE);
      spec.data.forEach((trace) => Object.assign(trace, { width: NARROW_BAR }));
    }
    layRows(spec.layout, shown, spec.rowHeight);
    return { data: spec.data, layout: spec.layout };
  }

  // The task that the page is narrowed to, or the one of the menu.
  function shownOf(id) {
    const at = state.task ? figures[id].tasks.indexOf(state.task) : -1;
    return at >= 0 ? at : chosen[id] ?? 0;
  }

  function pairs(spec, id) {
    const at = shownOf(id);
    menuOf(id).value = at;
    const { data, layout } = spec;
    Object.assign(data[0], spec.menu.choices[at].traces[0]);
    const n = data[0].y.length;
    data[0].customdata = data[0].y.map((_, r) => data[0].x.map(() => r));
    layout.xaxis.categoryarray = data[0].x;
    layout.yaxis.categoryarray = data[0].y;
    layout.height = 190 + CELL * n;
    if (isNarrow()) data[0].texttemplate = "";
    return { data, layout };
  }

  // A row of a map is a candidate; the same again is none.
  function pickPair(id, row) {
    if (row === undefined) return undefined;
    const name = figures[id].names[shownOf(id)][row];
    if (![...(byId("filter-model")?.options ?? [])].some((o) => o.value === name)) return undefined;
    return select({ model: state.model === name ? "" : name });
  }

  // ---- items that flipped ---------------------------------------------------------

  function make(name, words = "", properties = {}) {
    const node = Object.assign(document.createElement(name), properties);
    node.textContent = words;
    return node;
  }

  // Where the page shows the items of a task, its places by what they are called.
  function explorerOf(task) {
    const id = Object.keys(figures).find((name) =>
      figures[name].kind === "items" && JSON.parse(byId(name).closest(".panel").dataset.tasks).includes(task));
    if (!id) return null;
    return { id, places: new Map(figures[id].cells.map(([name], place) => [name.replaceAll(",", ""), place])) };
  }

  function listOf(word, n, items, explorer) {
    const line = make("p", `${word} ${n.toLocaleString("en")}${items.length ? ": " : ""}`);
    items.forEach((item, i) => {
      const place = explorer?.places.get(String(item));
      if (i) line.append(", ");
      line.append(place === undefined ? String(item)
        : make("a", String(item), { href: `#items?item=${explorer.id}.${place}` }));
    });
    if (items.length < n) line.append(items.length ? ", …" : "");
    return line;
  }

  function show() {
    const panel = byId("flipped");
    if (!panel) return;
    const { name, rows } = candidateOf(figures["flip-bars"] ?? { candidates: [{ rows: [] }] });
    const own = rows.filter((row) => state.task && row.task === state.task);
    panel.hidden = !own.length;
    const close = make("button", "Close", { type: "button" });
    close.addEventListener("click", () => select({ task: "" }));
    panel.replaceChildren(close, ...own.flatMap((row) => {
      const explorer = explorerOf(row.task);
      return [
        make("h4", `${row.name}, ${name}: places of items`),
        ...row.words.map((word, i) => listOf(word, row.counts[i], row.items[i], explorer)),
      ];
    }));
  }

  function start() {
    for (const id of ["difference-forest", "flip-bars"].filter((name) => menuOf(name)))
      menuOf(id).addEventListener("change", ({ target }) => {
        const { name } = figures[id].candidates[Number(target.value)];
        select({ model: name });
      });
    byId("forest-order")?.addEventListener("change", ({ target }) => {
      select({});
      say(`In order of ${target.selectedOptions[0].text}`);
    });
  }

  return { shapes: { forest, flips, pairs }, picks: { pairs: pickPair }, show, start };
});
