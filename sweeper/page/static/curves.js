"use strict";
/* Curves of all trials: score, validation ratio, overfit index, loss, learning rate. */
{
  const { svg, el, store } = Page;
  const pairs = (trial, value) => trial.evaluations.map((each) => [each.step, value(each)]);
  const CHARTS = [
    { title: "score", of: (trial) => pairs(trial, (each) => each.score), marks: true },
    { title: "validation ratio", of: (trial) => trial.validations, marks: true, note: "1 is the base" },
    { title: "overfit index", of: (trial) => pairs(trial, (each) => each.overfit), marks: true, low: [0, 1] },
    { title: "training loss", of: (trial) => trial.losses, log: true },
    { title: "learning rate", of: (trial) => trial.rates, log: true },
  ];

  const chart = (spec, width, share) => {
    const { trials, steps, clean } = store.study;
    const all = trials.map((trial) => [trial, spec.of(trial).filter(([, value]) => value !== null && (!spec.log || value > 0))]);
    const values = all.flatMap(([, points]) => points.map(([, value]) => value));
    const domain = spec.low ? [0, 1.02] : Page.extent(values, spec.log);
    const frame = Page.frame({
      width,
      height: 210,
      title: spec.title,
      note: spec.note || (spec.log ? "log" : ""),
      words: `${spec.title} by step of ${trials.length} trials`,
      x: { domain: [0, Math.max(1, steps)] },
      y: { domain, log: spec.log },
    });
    if (spec.low && values.length) {
      const at = frame.y(clean);
      frame.body.append(svg("line", { class: "limit", x1: frame.left, x2: frame.right, y1: at, y2: at }));
    }
    const worstFirst = [...all].sort(([one], [other]) => share(one) - share(other));
    for (const [trial, points] of worstFirst) {
      if (!points.length) continue;
      const places = points.map(([step, value]) => [frame.x(step), frame.y(value)]);
      const look = `mark line ${Page.shade(share(trial))}${store.isWinner(trial) ? " winner" : ""}`;
      const group = svg("g", { class: look, data: { trial: trial.number } }, Page.hint(Page.trialWords(trial)));
      group.append(svg("path", { class: "wide", d: Page.path(places) }), svg("path", { d: Page.path(places) }));
      const chosen = points.findIndex(([step]) => step === trial.chosen);
      if (spec.marks && chosen >= 0) group.append(svg("circle", { cx: places[chosen][0], cy: places[chosen][1], r: 3 }));
      else if (places.length === 1) group.append(svg("circle", { cx: places[0][0], cy: places[0][1], r: 2 }));
      frame.body.append(group);
    }
    if (!values.length) frame.body.append(svg("text", { class: "empty", x: width / 2, y: 110 }, "nothing yet"));
    return frame.node;
  };

  /** All five, in a place that is `width` pixels wide. */
  Page.curves = (width) => {
    const share = Page.rankShare();
    const columns = Math.max(1, Math.min(5, Math.floor((width + 16) / 240)));
    const each = Math.floor((width - 16 * (columns - 1)) / columns);
    return el("div", { class: "charts" }, CHARTS.map((spec) => chart(spec, each, share)));
  };

  /** What the colours and marks mean. */
  Page.legend = () =>
    el(
      "p",
      { class: "legend" },
      el("span", { class: "ramp", "aria-hidden": "true" }),
      "score, worst to best",
      el("span", { class: "swatch winner", "aria-hidden": "true" }),
      "the winner",
      el("span", { class: "swatch selected", "aria-hidden": "true" }),
      "selected (click a line, or j and k)",
      el("span", { class: "dot", "aria-hidden": "true" }),
      "a trial's chosen checkpoint",
    );
}
