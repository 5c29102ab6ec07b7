"use strict";
/* Which hyperparameter mattered: importances, and parallel coordinates. */
{
  const { svg, el, store } = Page;
  const HEIGHT = 250;
  const TOP = 44;
  const BOTTOM = 14;

  /** Bars of Optuna's importances, with how far to trust them. */
  Page.importances = () => {
    const { params, importance_note: note } = store.study;
    const known = params.filter((param) => param.share !== null);
    const rows = known.map((param) =>
      el(
        "tr",
        {},
        el("th", { scope: "row", title: param.words }, param.name),
        el("td", { class: "bar" }, el("span", { class: "fill", css: { width: `${(100 * param.share).toFixed(1)}%` } })),
        el("td", { class: "num" }, `${Math.round(100 * param.share)} %`),
      ),
    );
    return el(
      "div",
      {},
      rows.length ? el("table", { class: "importances" }, el("tbody", {}, rows)) : null,
      note ? el("p", { class: "warn" }, note) : null,
      el("p", { class: "note" }, "Share of the differences in score that each explains (Optuna's PED-ANOVA)."),
    );
  };

  const drawAxis = (param, place, at, width) => {
    const group = svg("g", { class: "grid" }, svg("line", { class: "axis", x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM }));
    const isLast = at > width - 60;
    const [x, anchor] = isLast ? [at - 6, "end"] : [at + 6, "start"];
    const words = Page.spaced(Page.ticksOf(param, place, 4), place, 13);
    for (const word of words) {
      const y = place(word);
      if (y < TOP - 2 || y > HEIGHT - BOTTOM + 2) continue;
      group.append(svg("text", { class: "on", x, y: y + 4, "text-anchor": anchor }, Page.value(word)));
    }
    group.append(
      svg("text", { class: "title", x: isLast ? width - 2 : Math.max(2, at - 4), y: 16, "text-anchor": isLast ? "end" : "start" }, param.name),
      param.log ? svg("text", { class: "note", x: isLast ? width - 2 : Math.max(2, at - 4), y: 30, "text-anchor": isLast ? "end" : "start" }, "log") : null,
    );
    return group;
  };

  /** Each trial as a line over its hyperparameters to its score. */
  Page.parallel = (width) => {
    const { study } = store;
    const scored = study.trials.filter((trial) => store.scoreOf(trial) !== null && !trial.is_rerun);
    const shown = study.params.filter((param) => scored.some((trial) => param.name in trial.params));
    if (!scored.length || !shown.length) return el("p", { class: "empty" }, "nothing yet");
    const range = [HEIGHT - BOTTOM, TOP];
    const share = Page.rankShare();
    const axes = shown.map((param) => ({ param, place: Page.axisOf(param, scored, range), of: (trial) => trial.params[param.name] }));
    const scores = scored.map(store.scoreOf);
    axes.push({ param: { name: "score" }, place: Page.scale(Page.extent(scores), range), of: store.scoreOf });
    const inner = Math.max(width, axes.length * 92);
    const at = (number) => 6 + (number * (inner - 14)) / Math.max(1, axes.length - 1);
    const lines = svg("g");
    for (const trial of [...scored].sort((one, other) => share(one) - share(other))) {
      const points = axes.map(({ place, of }, number) => {
        const value = of(trial);
        return value === undefined || value === null ? [NaN, NaN] : [at(number), place(value)];
      });
      const known = points.filter(([x]) => Number.isFinite(x));
      const look = `mark line ${Page.shade(share(trial))}${store.isWinner(trial) ? " winner" : ""}`;
      lines.append(
        svg("g", { class: look, data: { trial: trial.number } }, Page.hint(Page.trialWords(trial)), svg("path", { class: "wide", d: Page.path(known) }), svg("path", { d: Page.path(known) })),
      );
    }
    const drawn = axes.map(({ param, place }, number) => drawAxis(param, place, at(number), inner));
    const words = `parallel coordinates of ${scored.length} trials over ${shown.map((param) => param.name).join(", ")} and score`;
    const chart = svg("svg", { width: inner, height: HEIGHT, viewBox: `0 0 ${inner} ${HEIGHT}`, role: "img", "aria-label": words }, lines, drawn);
    return el("div", { class: "sideways", tabindex: inner > width ? "0" : null }, chart);
  };
}
