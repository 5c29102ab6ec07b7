"use strict";
/* The wall: prompts down, trials across, by kind, step, strength and seed. */
{
  const { el, store, pictures } = Page;
  const NAMES = { prompt: "prompts", final: "finalists’ prompts", unrelated: "unrelated prompts", training: "training captions", class: "class word" };
  const SIZES = [64, 96, 128, 192];
  const state = { kind: "prompt", step: null, strength: 1, seed: 0, sort: "score", size: 1, flipped: false, at: [0, 0] };
  Page.wallState = state;

  const sorted = (trials) => {
    const key = { score: store.scoreOf, number: (trial) => trial.number, fresh: (trial) => trial.fresh }[state.sort] || ((trial) => trial.params[state.sort]);
    const down = state.sort === "score" || state.sort === "fresh";
    if (state.sort === "score") return store.ranking().filter((trial) => trials.includes(trial));
    const missing = (value) => value === null || value === undefined;
    return [...trials].sort((one, other) => {
      const [a, b] = [key(one), key(other)];
      if (missing(a) || missing(b)) return missing(a) - missing(b) || one.number - other.number;
      const difference = typeof a === "number" ? a - b : String(a).localeCompare(String(b));
      return (down ? -difference : difference) || one.number - other.number;
    });
  };

  const select = (name, options, current, change) =>
    el("label", {}, `${name} `, el("select", { data: { focus: `wall-${name}` }, onchange: (event) => change(event.target.value) }, options.map(([value, words]) => el("option", { value, selected: String(value) === String(current) }, words))));

  const slider = (name, values, current, words, change) =>
    el(
      "label",
      { class: "slider" },
      `${name} `,
      el("input", { type: "range", min: 0, max: values.length - 1, step: 1, value: Math.max(0, values.indexOf(current)), disabled: values.length < 2, data: { focus: `wall-${name}` }, "aria-valuetext": words(current), oninput: (event) => change(values[Number(event.target.value)]) }),
      el("output", {}, words(current)),
    );

  const tools = (redraw) => {
    const set = (name) => (value) => {
      state[name] = value;
      redraw();
    };
    const kinds = pictures.kinds();
    const steps = [...pictures.steps(state.kind), null];
    const strengths = pictures.strengths(state.kind);
    const seeds = pictures.seeds(state.kind);
    const params = store.study.params.map((param) => [param.name, param.name]);
    return el(
      "div",
      { class: "tools", role: "group", "aria-label": "what the wall shows" },
      select("show", kinds.map((kind) => [kind, NAMES[kind] || kind]), state.kind, (value) => { Object.assign(state, { kind: value, step: null, strength: 1, seed: 0 }); redraw(); }),
      select("sort by", [["score", "score"], ["fresh", "fresh score"], ["number", "number"], ...params], state.sort, set("sort")),
      slider("step", steps, state.step, (value) => (value === null ? "chosen" : String(value)), set("step")),
      strengths.length > 1 ? slider("strength", strengths, state.strength, (value) => String(value), set("strength")) : null,
      seeds > 1 ? select("seed", Array.from({ length: seeds }, (_, seed) => [seed, seed]), state.seed, (value) => set("seed")(Number(value))) : null,
      select("size", SIZES.map((size, place) => [place, `${size} px`]), state.size, (value) => set("size")(Number(value))),
      el("button", { type: "button", "aria-pressed": String(state.flipped), data: { focus: "wall-flip" }, onclick: () => set("flipped")(!state.flipped) }, "base in place (f)"),
    );
  };

  const headOf = (trial) => {
    const value = trial.params[state.sort];
    const score = state.sort === "fresh" ? trial.fresh : store.scoreOf(trial);
    return el(
      "th",
      { scope: "col", class: `mark${store.isWinner(trial) ? " winner" : ""}`, data: { trial: trial.number }, title: Page.trialWords(trial) },
      el("button", { type: "button", class: "plain", data: { focus: `wall-trial-${trial.number}` } }, el("b", {}, trial.name), ` ${Page.score(score)}`),
      value === undefined ? null : el("span", { class: "faint" }, Page.value(value)),
    );
  };

  const cellOf = (trial, prompt, row, column) => {
    const set = pictures.setOf(trial, state.kind, state.step, state.strength);
    const path = state.flipped ? pictures.base(state.kind, row, state.seed) : pictures.path(set, state.kind, row, state.seed);
    const step = set && (state.step !== null && set.step !== state.step ? `step ${set.step}` : null);
    const words = `${state.flipped ? "the base" : `trial ${trial.name}${set ? `, step ${set.step}` : ""}`}: ${prompt.text}`;
    const isAt = state.at[0] === row && state.at[1] === column;
    return el(
      "td",
      { class: store.isWinner(trial) ? "winner" : null, data: { trial: trial.number } },
      el("button", { type: "button", class: "cell", tabindex: isAt ? "0" : "-1", data: { row, column, focus: `cell-${row}-${column}` }, "aria-label": words, onclick: () => Page.compare(trial, row) }, pictures.image(path, "")),
      step ? el("span", { class: "faint" }, step) : null,
    );
  };

  const beside = (path, words, caption) => el("td", { title: caption || null }, el("span", { class: "cell" }, pictures.image(path, words)));

  const grid = () => {
    const prompts = pictures.prompts(state.kind);
    const trials = sorted(store.study.trials.filter((trial) => trial.pictures.some((set) => state.kind in set.counts)));
    if (!trials.length || !prompts.length) return el("p", { class: "empty" }, "No pictures yet: they come with the first evaluation.");
    state.at = [Math.min(state.at[0], prompts.length - 1), Math.min(state.at[1], trials.length - 1)];
    const hasReals = prompts.some((_, number) => pictures.real(state.kind, number));
    const hasBase = prompts.some((_, number) => pictures.base(state.kind, number, 0));
    const head = el("tr", {}, el("th", { scope: "col", class: "prompt" }, "prompt"), hasReals ? el("th", { scope: "col" }, "real") : null, hasBase ? el("th", { scope: "col" }, "base") : null, trials.map(headOf));
    const rows = prompts.map((prompt, row) => {
      const real = pictures.real(state.kind, row);
      return el(
        "tr",
        {},
        el("th", { scope: "row", class: "prompt", title: prompt.text }, el("span", { class: "clamp" }, prompt.text)),
        hasReals ? beside(real && real.file, `real picture: ${real ? real.caption : ""}`, real && real.caption) : null,
        hasBase ? beside(pictures.base(state.kind, row, state.seed), `the base: ${prompt.text}`) : null,
        trials.map((trial, column) => cellOf(trial, prompt, row, column)),
      );
    });
    const table = el("table", { class: "wall", css: { "--cell": `${SIZES[state.size]}px` } }, el("thead", {}, head), el("tbody", {}, rows));
    return el("div", { class: "wall-frame", onkeydown: (event) => walk(event, prompts.length, trials.length) }, table);
  };

  const walk = (event, rows, columns) => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -columns], End: [0, columns] }[event.key];
    if (!move || !event.target.classList.contains("cell")) return;
    event.preventDefault();
    const to = [Number(event.target.dataset.row) + move[0], Number(event.target.dataset.column) + move[1]];
    state.at = [Math.max(0, Math.min(rows - 1, to[0])), Math.max(0, Math.min(columns - 1, to[1]))];
    const cell = event.currentTarget.querySelector(`[data-focus="cell-${state.at[0]}-${state.at[1]}"]`);
    event.target.tabIndex = -1;
    cell.tabIndex = 0;
    cell.focus();
    cell.scrollIntoView({ block: "nearest", inline: "nearest" });
  };

  /** Step to the next, or the one before, of the steps that there are pictures of. */
  Page.wallStep = (by, redraw) => {
    const steps = [...pictures.steps(state.kind), null];
    state.step = steps[Math.max(0, Math.min(steps.length - 1, steps.indexOf(state.step) + by))];
    redraw();
  };

  /** The wall with its tools. */
  Page.wall = (redraw) => {
    const kinds = pictures.kinds();
    if (!kinds.includes(state.kind) && kinds.length) state.kind = kinds[0];
    return el("div", { class: "wall-view" }, tools(redraw), grid());
  };
}
