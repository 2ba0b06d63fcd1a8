// Signal and noise of the mean of those tasks that the reader chooses.
PARTS.push(({ byId, say, state, draw, writeAddress }) => {
  const panels = [...document.querySelectorAll(".suite")];
  const suites = panels.map((panel) => {
    const { models, steps, scores } = JSON.parse(panel.dataset.suite);
    return { models, steps, scores: unpack(scores) };
  });
  const LEAST = 1e-12; // a noise below is rounding error
  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  const sd = (values) => {
    const middle = mean(values);
    return Math.sqrt(values.reduce((a, b) => a + (b - middle) ** 2, 0) / (values.length - 1));
  };

  // The arithmetic of harness.stats.signal.signal_noise, on the mean over tasks.
  function signalNoise({ models, steps, scores }, tasks) {
    const score = (task, run, step) => scores[(task * models.length + run) * steps + step];
    const runs = models.map((_, run) =>
      Array.from({ length: steps }, (_, step) => mean(tasks.map((task) => score(task, run, step)))));
    // A model's seeds are averaged first: one with more seeds does not count more.
    const byModel = (values) => [...new Set(models)].map((m) => mean(values.filter((_, run) => models[run] === m)));
    const last = byModel(runs.map((run) => run.at(-1)));
    const signal = (Math.max(...last) - Math.min(...last)) / Math.abs(mean(last));
    const noise = mean(byModel(runs.map((run) => sd(run) / Math.abs(mean(run)))));
    return { signal, noise, snr: noise > LEAST ? signal / noise : NaN };
  }

  // In the address: for each suite its number and those of its tasks, as in 0_2_5.1_0.
  const parse = (words) => new Map(words.split(".").filter(Boolean).map((part) => {
    const [suite, ...tasks] = part.split("_").map(Number);
    return [suite, tasks];
  }));
  const chosenOf = (i) => parse(state.suite).get(i) ?? [];
  const isKnown = (words) => /^\d+(_\d+)+(\.\d+(_\d+)+)*$/.test(words) && [...parse(words)].every(([i, tasks]) =>
    panels[i] && tasks.every((task) => task < boxesOf(panels[i]).length));
  const boxesOf = (panel) => [...panel.querySelectorAll("input")];

  const ratio = (value) => value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
  const spread = (value) => value.toFixed(value > 0 ? Math.max(0, 1 - Math.floor(Math.log10(value))) : 0);

  function wordsOf(i, tasks) {
    const { signal, noise, snr } = signalNoise(suites[i], tasks);
    const of = `Mean of ${tasks.length} chosen ${tasks.length === 1 ? "task" : "tasks"}`;
    if (!Number.isFinite(snr)) return [`${of}: SNR is not defined.`, null];
    return [`${of}: signal ${spread(signal)}, noise ${spread(noise)}, SNR ${ratio(snr)}`, snr];
  }

  function show() {
    panels.forEach((panel, i) => {
      const tasks = chosenOf(i);
      const said = panel.querySelector("output");
      const [words, snr] = tasks.length ? wordsOf(i, tasks) : ["No task is chosen.", null];
      said.value = words;
      if (snr === null) delete said.dataset.value;
      else said.dataset.value = snr;
      boxesOf(panel).forEach((box, task) => { box.checked = tasks.includes(task); });
    });
  }

  function choose() {
    state.suite = panels.map((panel, i) => {
      const tasks = boxesOf(panel).flatMap((box, task) => (box.checked ? [task] : []));
      return tasks.length ? [i, ...tasks].join("_") : "";
    }).filter(Boolean).join(".");
    writeAddress("signal");
    show();
    return byId("signal-noise") && draw("signal-noise");
  }

  // Rings round the chosen tasks, and a star where their mean is.
  function mark({ data, layout }) {
    panels.forEach((_, i) => {
      const tasks = chosenOf(i);
      const rings = tasks.map((task) => signalNoise(suites[i], [task]));
      const { signal, noise, snr } = tasks.length ? signalNoise(suites[i], tasks) : {};
      if (!(snr > 0)) return;
      const shared = { type: "scatter", mode: "markers", showlegend: false, cliponaxis: false };
      const { color } = layout.font;
      data.push(
        { ...shared, x: rings.map((p) => p.noise), y: rings.map((p) => p.signal), hoverinfo: "skip", marker: { symbol: "circle-open", size: 24, color, line: { width: 1.5 } } },
        { ...shared, x: [noise], y: [signal], hovertext: [wordsOf(i, tasks)[0]], hoverinfo: "text", marker: { symbol: "star", size: 15, color } },
      );
      for (const [axis, value] of [["xaxis", noise], ["yaxis", signal]]) {
        const [low, high] = layout[axis].range;
        layout[axis].range = [Math.min(low, Math.log10(value) - 0.1), Math.max(high, Math.log10(value) + 0.1)];
      }
    });
  }

  function clear() {
    if (!state.suite) return null;
    state.suite = "";
    writeAddress();
    show();
    return byId("signal-noise") && draw("signal-noise");
  }

  for (const panel of panels) {
    for (const part of panel.querySelectorAll("[hidden]")) part.hidden = false;
    for (const box of boxesOf(panel))
      box.addEventListener("change", () => { choose(); say(panel.querySelector("output").value); });
    panel.querySelector("button").addEventListener("click", () => {
      for (const box of boxesOf(panel)) box.checked = true;
      choose();
      say(panel.querySelector("output").value);
    });
  }

  function markTasks(spec, id) {
    if (id === "signal-noise") mark(spec);
  }

  return { keys: { suite: isKnown }, mark: markTasks, show, clear };
});
