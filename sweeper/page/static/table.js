"use strict";
/* All trials in a table that can be sorted, with why each ended. */
{
  const { el, store } = Page;
  const order = { by: "score", down: true };

  const columns = () => [
    { name: "trial", of: (trial) => trial.number, text: (trial) => trial.name, num: true },
    { name: "score", of: store.scoreOf, text: (trial) => Page.score(store.scoreOf(trial)), num: true },
    { name: "±", of: (trial) => (store.chosen(trial) || {}).score_se, text: (trial) => Page.score((store.chosen(trial) || {}).score_se), num: true },
    { name: "fresh", of: (trial) => trial.fresh, text: (trial) => Page.score(trial.fresh), num: true, if: (trials) => trials.some((trial) => trial.fresh !== null) },
    { name: "step", of: (trial) => trial.chosen, text: (trial) => (trial.chosen === null ? `– of ${trial.step}` : `${trial.chosen} of ${trial.step}`), num: true },
    { name: "overfit", of: (trial) => (store.chosen(trial) || {}).overfit, text: (trial) => (store.chosen(trial) ? store.chosen(trial).overfit.toFixed(2) : "–"), num: true },
    { name: "how it went", of: (trial) => trial.status, text: null },
    ...store.study.params.map((param) => ({
      name: param.name,
      of: (trial) => trial.params[param.name],
      text: (trial) => (trial.params[param.name] === undefined ? "" : Page.value(trial.params[param.name])),
      num: param.kind === "number",
    })),
    { name: "took", of: (trial) => trial.training_s + trial.judging_s, text: (trial) => Page.duration(trial.training_s + trial.judging_s), num: true },
  ];

  const ending = (trial) => {
    const goes = { running: "training", waiting: "goes on with the same command" }[trial.status];
    return el(
      "td",
      { class: "words" },
      el("span", { class: "lines" }, el("span", { class: `status ${trial.status}` }, trial.status),
      ` ${trial.ended_because || goes || ""}`,
      trial.diagnosis ? el("span", { class: "faint" }, ` · ${trial.diagnosis}: ${trial.because}`) : null),
    );
  };

  const compare = (one, other) => {
    const missing = (value) => value === null || value === undefined;
    if (missing(one) || missing(other)) return missing(one) - missing(other);
    const sign = order.down ? -1 : 1;
    return sign * (typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(String(other)));
  };

  /** The table; `redraw` is called when it is to be sorted otherwise. */
  Page.table = (redraw) => {
    const { trials } = store.study;
    if (!trials.length) return el("p", { class: "empty" }, "no trial has begun");
    const shown = columns().filter((column) => !column.if || column.if(trials));
    const by = shown.find((column) => column.name === order.by) || shown[0];
    const rows = [...trials].sort((one, other) => compare(by.of(one), by.of(other)) || one.number - other.number);
    const sortBy = (column) => {
      order.down = column.name === order.by ? !order.down : column.num;
      order.by = column.name;
      redraw();
    };
    const head = shown.map((column) =>
      el(
        "th",
        { scope: "col", class: column.num ? "num" : null, "aria-sort": column === by ? (order.down ? "descending" : "ascending") : null },
        el("button", { type: "button", data: { focus: `sort-${column.name}` }, onclick: () => sortBy(column) }, column.name, column === by ? (order.down ? " ▾" : " ▴") : ""),
      ),
    );
    const body = rows.map((trial) =>
      el(
        "tr",
        { class: `mark${store.isWinner(trial) ? " winner" : ""}`, data: { trial: trial.number } },
        shown.map((column, place) => {
          if (!column.text) return ending(trial);
          const text = column.text(trial);
          const first = el("button", { type: "button", class: "plain", data: { focus: `trial-${trial.number}` }, "aria-label": `select trial ${trial.name}` }, text);
          return place ? el("td", { class: column.num ? "num" : null }, text) : el("th", { scope: "row", class: "num" }, first);
        }),
      ),
    );
    return el("div", { class: "sideways", tabindex: "0", role: "region", "aria-label": "all trials" }, el("table", { class: "trials" }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, body)));
  };
}
