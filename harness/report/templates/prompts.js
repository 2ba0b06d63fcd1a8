// One run at a time, and room for its figures. All numbers and texts are made in Python.
PARTS.push(({ say, draw, menu, isNarrow, legendLine }) => {
  const ROW = 26; // pixels of a template
  const AROUND = 270; // of titles and axes of two panels below each other

  // Where there is no room beside the map, means stand below it.
  function map(spec, id) {
    const { data, layout } = menu(spec, id);
    if (!isNarrow()) return { data, layout };
    const n = layout.yaxis.categoryarray.length;
    layout.height = AROUND + 2 * ROW * n;
    layout.xaxis.domain = layout.xaxis2.domain = [0, 1];
    layout.yaxis.domain = [0.58, 1];
    layout.yaxis2.domain = [0, 0.42];
    layout.yaxis2.showticklabels = true;
    Object.assign(data[0].colorbar, { x: 0.5, len: 1 });
    return { data, layout };
  }

  function curve({ data, layout }) {
    if (isNarrow())
      layout.height += legendLine * (data.filter((t) => t.showlegend !== false).length - 1);
    return { data, layout };
  }

  const runsOf = (select) => select.closest(".panel").querySelectorAll(".run");
  function show(select) {
    for (const run of runsOf(select)) run.hidden = run.dataset.run !== select.value;
  }
  function start() {
    for (const select of document.querySelectorAll(".run-choice")) {
      show(select);
      select.addEventListener("change", () => {
        show(select);
        say(`Showing ${select.selectedOptions[0].text}`);
        for (const plot of select.closest(".panel").querySelectorAll(".run:not([hidden]) .plot")) draw(plot.id);
      });
    }
  }

  return { shapes: { curve, map }, start };
});
