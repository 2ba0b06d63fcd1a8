// What other designs would come to, and the figures of sources and of what is found.
PARTS.push(({ byId, say, state, chosen, draw, writeAddress, fitting, layRows, isNarrow }) => {
  const panel = byId("plan");
  const { plans, factors, least, most, nouns } = panel ? JSON.parse(panel.dataset.plan) : { plans: [] };
  const controls = panel ? [...panel.querySelectorAll("[data-facet]")] : [];
  const OWN = ["train_seed", "repeat"]; // of which two models share no levels
  const LEGEND_LINE = 26;
  const DELTA = byId("plan-delta")?.defaultValue;
  const product = (values) => values.reduce((a, b) => a * b, 1);
  const spread = (value) => value.toFixed(value > 0 ? Math.max(0, 1 - Math.floor(Math.log10(value))) : 0);
  const number = (n) => n.toLocaleString("en", { maximumFractionDigits: 1 });
  const several = (n, facet) => `${number(n)} ${nouns[facet][n === 1 ? 0 : 1]}`;

  // In the address: the number of the score and each change, as in 3.item-12.template-fixed.
  function parse(words) {
    const [row, ...changes] = words.split(".");
    const stops = {};
    const fixed = new Set();
    for (const [facet, value] of changes.map((change) => change.split("-"))) {
      if (value === "fixed") fixed.add(facet);
      else stops[facet] = Number(value);
    }
    return { row: Number(row), stops, fixed };
  }
  function isKnown(words) {
    if (!/^\d+(\.[a-z_]+-(\d+|fixed))*$/.test(words)) return false;
    const { row, stops, fixed } = parse(words);
    const levels = plans[row]?.levels;
    return Boolean(levels) && [...fixed].every((f) => levels[f]) && Object.entries(stops).every(([f, i]) => i < levels[f]?.length);
  }
  const isDelta = (words) => Number(words) > 0 && Number.isFinite(Number(words));

  // The chosen score, or the first that the filters leave.
  function design() {
    const { row, stops, fixed } = parse(state.plan || "0");
    const left = plans.flatMap((plan, i) => (fitting([plan]).length ? [i] : []));
    const now = left.includes(row) ? row : left[0];
    if (now === undefined) return null;
    const plan = plans[now];
    if (now !== row) return { row: now, plan, counts: {}, fixed: new Set() };
    const counts = Object.fromEntries(Object.entries(stops).map(([f, i]) => [f, plan.levels[f][i]]));
    return { row, plan, counts, fixed };
  }
  const isAsRun = ({ counts, fixed }) => !Object.keys(counts).length && !fixed.size;

  // The arithmetic of harness.stats.power.noise.Noise, and of Ledger.predicted_variance.
  function predict({ sources, counts: asRun }, counts, fixed) {
    const n = (facet) => counts[facet] ?? asRun[facet];
    let variance = 0;
    let squares = 0;
    for (const [facets, component] of sources) {
      if (facets.every((f) => fixed.has(f))) continue;
      const part = (component ?? NaN) / product(facets.map(n));
      const others = facets.filter((f) => f !== "repeat").map(n);
      const apart = facets.includes("repeat") && n("repeat") > 1
        ? product(others) * (n("repeat") - 1) : product(others.map((m) => m - 1));
      variance += part;
      if (part) squares += part ** 2 / (apart * (facets.some((f) => OWN.includes(f)) ? 2 : 1));
    }
    return { variance, df: squares > 0 ? variance ** 2 / squares : Infinity };
  }
  const seOf = (noise, { counts, fixed }) => Math.sqrt(predict(noise, counts, fixed).variance) || NaN;

  // How many standard errors from 0 a test finds, between points made in Python.
  function factor(df) {
    if (!(df >= least)) return NaN;
    const place = Math.min(Math.log(df / least) / Math.log(most / least), 1) * (factors.length - 1);
    const below = Math.min(Math.floor(place), factors.length - 2);
    return factors[below] ** (below + 1 - place) * factors[below + 1] ** (place - below);
  }
  function finds(noise, { counts, fixed }) {
    const { variance, df } = noise ? predict(noise, counts, fixed) : { variance: NaN };
    return variance > 0 ? factor(df) * Math.sqrt(variance) : NaN;
  }

  // ---- words ------------------------------------------------------------------

  const against = (value, before) => (value === before ? "" : ` (as run ${Number.isNaN(before) ? "not defined" : spread(before)})`);

  function wordsOf(now) {
    const { plan } = now;
    const asRun = { counts: {}, fixed: new Set() };
    const [se, before] = [now, asRun].map((one) => seOf(plan.score, one));
    const [found, foundBefore] = [now, asRun].map((one) => finds(plan.difference, one));
    const delta = Number(state.delta || DELTA);
    const narrower = Math.round(100 * (1 - se / before));
    const change = Number.isNaN(narrower) || se === before ? "" : `, ${Math.abs(narrower)} % ${narrower < 0 ? "wider" : "narrower"}`;
    const error = Number.isNaN(se) ? "The standard error of the score is not defined: no variance above 0 is left."
      : `Standard error of the score: ${spread(se)}${against(se, before)}${change}.`;
    const tells = Number.isNaN(found) ? "Which difference is found is not defined: a test needs noise to go by, and 2 levels of what varies."
      : `Two models are told apart if ${spread(found)}${against(found, foundBefore)} apart: ${found <= delta ? "enough" : "not enough"} for a difference of ${delta}.`;
    return { se, found, words: `${error} ${tells}` };
  }

  function meant({ plan, fixed }) {
    const free = Object.keys(plan.levels).filter((f) => !fixed.has(f)).map((f) => nouns[f][1]);
    const held = [...fixed].map((f) => `these ${nouns[f][1]}`);
    const alone = plan.unknown.map((f) => `this ${nouns[f][0]}`);
    const list = (words) => words.join(", ");
    return `Random, so that others could have been drawn: ${list(free) || "nothing"}. Fixed: ${list([...held, ...alone]) || "nothing"}.`
      + (alone.length ? " What has one level cannot be changed here, as nothing is known of others." : "") + ` ${plan.alike}`;
  }

  // ---- figures ------------------------------------------------------------------

  function stack(spec, id) {
    const { y, traces } = spec.menu.choices[chosen[id] ?? 0];
    const { data, layout } = spec;
    const shown = fitting(spec.rows);
    const labels = new Set(shown.map((r) => r.label));
    data.forEach((trace, i) => {
      Object.assign(trace, traces[i]);
      const keep = trace.y.map((label) => labels.has(label));
      for (const key of ["x", "y", "text", "hovertext", "customdata"])
        if (trace[key]?.length) trace[key] = trace[key].filter((_, j) => keep[j]);
    });
    layout.xaxis.title.text = y;
    layout.annotations = (layout.annotations ?? []).filter((a) => labels.has(a.y));
    layRows(layout, shown, spec.rowHeight);
    layout.height += LEGEND_LINE * (isNarrow() ? data.length - 1 : 1);
    if (isNarrow()) layout.bargap = 0.64; // labels stand above the bars
    return { data, layout };
  }

  function power({ data, layout, choices }) {
    const now = design();
    if (!now) return { data: [], layout };
    const { facet, traces } = choices[now.row];
    const asRun = isAsRun(now);
    data.forEach((trace, i) => Object.assign(trace, traces[i]));
    const curves = data.slice(0, -2);
    for (const curve of curves) {
      const at = (item) => ({ ...now, counts: { ...now.counts, item, ...(facet && { [facet]: curve.level }) } });
      if (!asRun) curve.y = curve.x.map((item) => finds(now.plan.difference, at(item)) || null);
      curve.text = curve.x.map((item, i) => `${curve.name}, ${several(item, "item")}: ${curve.y[i] === null ? "not defined" : spread(curve.y[i])}`);
    }
    const [dot, line] = data.slice(-2);
    dot.text = dot.y.map((y) => `now, ${several(dot.x[0], "item")}: ${y === null ? "not defined" : spread(y)}`);
    line.y = line.x.map(() => Number(state.delta || DELTA));
    const { found } = wordsOf(now);
    if (!asRun && found > 0) {
      const items = now.counts.item ?? now.plan.difference.counts.item;
      data.push({
        type: "scatter", mode: "markers", name: "what if", x: [items], y: [found], hoverinfo: "text", cliponaxis: false,
        text: [`what if, ${several(items, "item")}: ${spread(found)}`], marker: { symbol: "star", size: 15, color: layout.font.color },
      });
    }
    if (isNarrow()) layout.height += LEGEND_LINE * data.filter((t) => t.visible !== false).length;
    return { data, layout };
  }

  // ---- controls -----------------------------------------------------------------

  function show() {
    if (!panel) return;
    const now = design();
    panel.hidden = !now;
    if (!now) return;
    const { row, plan, counts, fixed } = now;
    const select = byId("plan-row");
    [...select.options].forEach((option, i) => { option.hidden = option.disabled = !fitting([plans[i]]).length; });
    select.value = row;
    for (const part of controls) {
      const { facet } = part.dataset;
      const levels = plan.levels[facet];
      part.hidden = !levels;
      if (!levels) continue;
      const [slider, box] = part.querySelectorAll("input");
      const n = counts[facet] ?? plan.score.counts[facet];
      slider.max = levels.length - 1;
      slider.value = levels.indexOf(n);
      slider.setAttribute("aria-valuetext", several(n, facet));
      part.querySelector("output").value = `${number(n)}${facet in counts ? ` (as run ${number(plan.score.counts[facet])})` : ""}`;
      box.checked = fixed.has(facet);
    }
    byId("plan-delta").value = state.delta || DELTA;
    const { se, found, words } = wordsOf(now);
    const said = byId("plan-said");
    said.value = words;
    Object.assign(said.dataset, { se, found });
    byId("plan-meant").textContent = meant(now);
  }

  function turnTo(change) {
    Object.assign(state, change);
    writeAddress("ledger");
    show();
    return byId("ledger-power") && draw("ledger-power");
  }

  function changed() {
    const { row, plan } = design();
    const parts = controls.filter((part) => plan.levels[part.dataset.facet]).flatMap((part) => {
      const { facet } = part.dataset;
      const [slider, box] = part.querySelectorAll("input");
      const isMoved = plan.levels[facet][slider.value] !== plan.score.counts[facet];
      return [...(isMoved ? [`${facet}-${slider.value}`] : []), ...(box.checked ? [`${facet}-fixed`] : [])];
    });
    return turnTo({ plan: parts.length || row ? [row, ...parts].join(".") : "" });
  }

  // A bar names its score.
  function choose(row) {
    if (row === undefined) return;
    turnTo({ plan: String(row) });
    say(`What if: ${byId("plan-row").selectedOptions[0].text}`);
  }

  const clear = () => (state.plan || state.delta ? turnTo({ plan: "", delta: "" }) : null);
  const tell = () => say(byId("plan-said").value);

  for (const part of controls) {
    for (const input of part.querySelectorAll("input")) {
      input.addEventListener("input", changed);
      input.addEventListener("change", tell);
    }
  }
  if (panel) {
    byId("plan-row").addEventListener("change", (event) => { turnTo({ plan: event.target.value }); tell(); });
    byId("plan-delta").addEventListener("change", ({ target }) => {
      turnTo({ delta: isDelta(target.value) && target.value !== DELTA ? target.value : "" });
      tell();
    });
    panel.querySelector("button").addEventListener("click", () => { turnTo({ plan: String(design().row) }); tell(); });
  }

  return { shapes: { power, stack }, picks: { stack: (_, row) => choose(row) }, keys: { plan: isKnown, delta: isDelta }, show, clear };
});
