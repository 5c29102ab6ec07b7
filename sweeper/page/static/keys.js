"use strict";
/* The keyboard, the theme, and the list of keys. */
{
  const { el, store } = Page;
  const KEYS = [
    ["o, w", "overview, wall"],
    ["j, k", "select the next, the previous trial by score"],
    ["Escape", "select none"],
    ["arrows, Enter", "on the wall: walk, open side by side"],
    ["[ and ]", "on the wall and side by side: the step before, the next"],
    ["f", "the base in place of the picture, and back"],
    ["← →, ↑ ↓", "side by side: another trial, another prompt"],
    ["1, 2, 4", "side by side: so many pictures"],
    ["+, −", "side by side: zoom by whole pixels"],
    ["t", "light or dark"],
    ["?", "these keys"],
  ];

  Page.help = () => {
    const dialog = el("dialog", { class: "help", "aria-label": "keys", onclose: (event) => event.target.remove() });
    dialog.append(
      el("h2", {}, "Keys"),
      el("dl", {}, [...KEYS, ...Page.hooks.views.flatMap((view) => view.help)].map(([key, words]) => [el("dt", {}, key), el("dd", {}, words)])),
      el("form", { method: "dialog" }, el("button", {}, "close")),
    );
    document.body.append(dialog);
    dialog.showModal();
  };

  Page.toggleTheme = () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : window.matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  };

  const step = (by) => {
    const order = store.ranking().map((trial) => trial.number);
    if (!order.length) return;
    const at = order.indexOf(store.selected);
    const next = at < 0 ? 0 : Math.max(0, Math.min(order.length - 1, at + by));
    if (order[next] !== store.selected) store.select(order[next]);
    const row = document.querySelector(`.trials tr[data-trial="${order[next]}"]`);
    const table = row && row.closest("table").getBoundingClientRect();
    if (table && table.top < window.innerHeight && table.bottom > 0) row.scrollIntoView({ block: "nearest" });
  };

  const flip = () => {
    if (store.view !== "wall") return;
    Page.wallState.flipped = !Page.wallState.flipped;
    Page.redraw("wall");
  };

  const ACTS = {
    o: () => Page.show("overview"),
    w: () => Page.show("wall"),
    j: () => step(1),
    k: () => step(-1),
    f: flip,
    t: Page.toggleTheme,
    "?": Page.help,
    "[": () => store.view === "wall" && Page.wallStep(-1, () => Page.redraw("wall")),
    "]": () => store.view === "wall" && Page.wallStep(1, () => Page.redraw("wall")),
    Escape: () => store.selected !== null && store.select(null),
  };

  document.addEventListener("keydown", (event) => {
    if (!store.study || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName) && event.target.type !== "range") return;
    const view = Page.hooks.views.find((each) => each.name === store.view);
    if (view && view.press(event.key)) event.preventDefault();
    else if (ACTS[event.key]) ACTS[event.key]();
    else Page.hooks.views.filter((each) => each.key === event.key).forEach((each) => Page.show(each.name));
  });
}
