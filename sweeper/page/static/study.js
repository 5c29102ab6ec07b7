"use strict";
/* A study's page: its head, its overview, the wall, the bar of the selected trial. */
{
  const { el, store } = Page;
  const hooks = {
    /** What else stands in the head and in the bar, by whoever has a server: elements. */
    head: () => [],
    bar: () => [],
    above: () => [],
    /** Views beside those that a file has: name, words, key, help, what draws it, and whether a key is its own. */
    views: [],
  };
  Page.hooks = hooks;
  let main = null;
  const parts = {};

  const section = (name, title, ...content) => el("section", { class: name, "aria-labelledby": `head-${name}` }, el("h2", { id: `head-${name}` }, title), content);
  const widthOf = (node) => Math.max(280, node.clientWidth || main.clientWidth);

  const tab = (view, words, key) =>
    el("button", { type: "button", role: "tab", id: `tab-${view}`, "aria-selected": String(store.view === view), "aria-controls": "view", title: `key ${key}`, data: { focus: `tab-${view}` }, onclick: () => Page.show(view) }, words);

  const head = () => {
    const { study } = store;
    const best = study.choice ? study.choice.score : store.ranking().map(store.scoreOf).find((score) => score !== null);
    return [
      hooks.head("start"),
      el("h1", {}, study.name),
      el("span", { class: `state ${study.state}` }, study.state),
      el("span", { class: "big", title: "best score" }, Page.score(best)),
      el("div", { class: "tabs", role: "tablist", "aria-label": "views" }, tab("overview", "Overview", "o"), tab("wall", "Wall", "w"), hooks.views.map((view) => tab(view.name, view.words, view.key))),
      el("span", { class: "gap" }),
      hooks.head("end"),
      el("button", { type: "button", onclick: Page.toggleTheme, data: { focus: "theme" }, title: "key t" }, "light / dark"),
      el("button", { type: "button", onclick: Page.help, data: { focus: "help" }, title: "key ?" }, "keys"),
    ];
  };

  const DRAWN = {
    summary: () => Page.summary(),
    slots: () => Page.slots(),
    curves: (node) => [Page.curves(widthOf(node)), Page.legend()],
    importances: () => Page.importances(),
    parallel: (node) => Page.parallel(widthOf(node)),
    slices: (node) => Page.slices(widthOf(node)),
    contour: (node) => Page.contour(Math.min(720, widthOf(node)), () => Page.redraw("contour")),
    timeline: (node) => Page.timeline(widthOf(node)),
    table: () => Page.table(() => Page.redraw("table")),
    wall: () => Page.wall(() => Page.redraw("wall")),
  };

  /** What is below what one sees first. */
  const LATER = ["importances", "parallel", "slices", "contour", "timeline", "table"];
  let drawn = 0;

  const place = (name) => {
    parts[name] = el("div", { class: `part ${name}` });
    return parts[name];
  };

  const overview = () => {
    const running = store.study.trials.some((trial) => trial.status === "running");
    return [
      section("what", store.study.choice ? "What won, and why" : "How it stands", place("summary")),
      running ? section("now", "In the slots now", place("slots")) : null,
      section("courses", "Curves", place("curves")),
      el("div", { class: "beside" }, section("mattered", "What mattered", place("importances")), section("together", "All hyperparameters", place("parallel"))),
      el("div", { class: "beside wide-first" }, section("each", "One at a time", place("slices")), section("two", "Two at a time", place("contour"))),
      section("time", "What the slots did", place("timeline")),
      section("all", "All trials, and why each ended", place("table")),
    ];
  };

  /** Draw one part anew; the focus stays where it was. */
  Page.redraw = (name) => {
    const node = parts[name];
    const draw = DRAWN[name] || (hooks.views.find((view) => view.name === name) || {}).draw;
    if (!node || !node.isConnected) return;
    const focus = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.focus : null;
    const frame = node.querySelector(".wall-frame, .sideways");
    const scrolled = frame ? [frame.scrollLeft, frame.scrollTop] : null;
    node.replaceChildren(...[draw(node)].flat().filter(Boolean));
    const after = node.querySelector(".wall-frame, .sideways");
    if (scrolled && after) [after.scrollLeft, after.scrollTop] = scrolled;
    if (focus) {
      const again = document.querySelector(`[data-focus="${CSS.escape(focus)}"]`);
      if (again && again !== document.activeElement) again.focus({ preventScroll: true });
    }
    store.mark();
  };

  const bar = () => {
    const trial = store.selected === null ? null : store.trial(store.selected);
    const node = document.getElementById("bar");
    node.hidden = !trial;
    if (!trial) return;
    const chosen = store.chosen(trial);
    const score = chosen ? `score ${Page.score(chosen.score)} ± ${Page.score(chosen.score_se)} at step ${chosen.step} of ${trial.step}` : "not judged yet";
    node.replaceChildren(
      el("b", {}, `trial ${trial.name}`),
      el("span", {}, score),
      el("span", { class: "faint" }, Object.entries(trial.params).map(([name, value]) => `${name} ${Page.value(value)}`).join(", ")),
      el("span", { class: "words" }, [trial.status, trial.ended_because].filter(Boolean).join(": "), trial.advice ? ` → ${trial.advice}` : ""),
      el("span", { class: "gap" }),
      ...[hooks.bar(trial)].flat(),
      el("button", { type: "button", class: "close", onclick: () => store.select(null), "aria-label": "select none" }, "✕"),
    );
  };

  const view = () => {
    if (store.view === "overview") return overview();
    return [place(store.view)];
  };

  /** Show a view: "overview", "wall", or one of the hooks'. */
  Page.show = (view) => {
    store.view = view;
    Page.drawStudy();
    window.scrollTo(0, 0);
    store.tell("view");
  };

  /** Draw these one by one, whenever the browser has nothing else to do; not those that were drawn anew since. */
  const drawWhenIdle = (names) => {
    const mine = (drawn += 1);
    const next = () => {
      if (mine !== drawn || !names.length) return;
      Page.redraw(names.shift());
      (window.requestIdleCallback || setTimeout)(next);
    };
    (window.requestIdleCallback || setTimeout)(next);
  };

  /** Draw all of it; with `first`, what is seen first now and the rest in a moment. */
  Page.drawStudy = (first = false) => {
    const focus = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.focus : null;
    document.title = `${store.study.name} – sweeper`;
    document.getElementById("head").replaceChildren(...head().flat().filter(Boolean));
    main = document.getElementById("view");
    main.setAttribute("aria-labelledby", `tab-${store.view}`);
    main.replaceChildren(...[...hooks.above(), ...view()].filter(Boolean));
    const names = [...Object.keys(DRAWN), ...hooks.views.map((each) => each.name)];
    const now = first ? names.filter((name) => !LATER.includes(name)) : names;
    now.forEach(Page.redraw);
    drawWhenIdle(names.filter((name) => !now.includes(name)));
    bar();
    if (focus) {
      const again = document.querySelector(`[data-focus="${CSS.escape(focus)}"]`);
      if (again) again.focus({ preventScroll: true });
    }
  };

  store.on((what) => what === "selected" && bar());
  let width = window.innerWidth;
  let timer = 0;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width || !store.study) return;
    width = window.innerWidth;
    clearTimeout(timer);
    timer = setTimeout(() => store.study && Page.drawStudy(), 120); // one may have gone back to the list meanwhile
  });
}
