"use strict";
/* One to four pictures of a prompt side by side, large; any can be flipped in place with the base. */
{
  const { el, store, pictures } = Page;
  const ZOOMS = [1, 2, 3, 4, 6, 8];
  const look = { panes: [], prompt: 0, at: 0, zoom: null, flipped: null };
  let dialog = null;

  const wall = () => Page.wallState;
  const shownTrials = () => store.ranking().filter((trial) => pictures.setOf(trial, wall().kind, wall().step, wall().strength));

  const pathOf = (pane) => {
    const { kind, step, strength, seed } = wall();
    if (pane.what === "base") return pictures.base(kind, look.prompt, seed);
    if (pane.what === "real") return (pictures.real(kind, look.prompt) || {}).file || null;
    const trial = store.trial(pane.what);
    return trial ? pictures.path(pictures.setOf(trial, kind, step, strength), kind, look.prompt, seed) : null;
  };

  const nameOf = (pane) => {
    const { kind, step, strength } = wall();
    if (pane.what === "base") return "the base";
    if (pane.what === "real") return `real: ${(pictures.real(kind, look.prompt) || { caption: "none" }).caption}`;
    const trial = store.trial(pane.what);
    const set = trial && pictures.setOf(trial, kind, step, strength);
    return `trial ${trial ? trial.name : pane.what}${set ? `, step ${set.step}` : ""}${strength === 1 ? "" : `, strength ${strength}`}${trial ? `, score ${Page.score(store.scoreOf(trial))}` : ""}`;
  };

  const drawPane = (pane, number) => {
    const seen = look.flipped === number ? { what: "base" } : pane;
    const image = pictures.image(pathOf(seen), nameOf(seen), true);
    const fit = () => {
      const zoom = look.zoom || Math.max(1, Math.floor(Math.min(512, (window.innerWidth - 40) / look.panes.length - 20) / (image.naturalWidth || 1)));
      image.style.setProperty("width", `${image.naturalWidth * zoom}px`);
    };
    if (image.tagName === "IMG") {
      image.addEventListener("load", fit);
      if (image.complete && image.naturalWidth) fit();
    }
    const options = [["real", "real"], ["base", "the base"], ...shownTrials().map((trial) => [trial.number, `trial ${trial.name}, ${Page.score(store.scoreOf(trial))}`])];
    const choose = el(
      "select",
      { "aria-label": `what picture ${number + 1} shows`, onchange: (event) => { pane.what = /^\d+$/.test(event.target.value) ? Number(event.target.value) : event.target.value; look.at = number; draw(); } },
      options.map(([value, words]) => el("option", { value, selected: String(value) === String(pane.what) }, words)),
    );
    return el("figure", { class: number === look.at ? "pane at" : "pane", onclick: () => { look.at = number; mark(); } }, choose, el("div", { class: "picture" }, image), el("figcaption", {}, nameOf(seen)));
  };

  const mark = () => dialog.querySelectorAll(".pane").forEach((pane, number) => pane.classList.toggle("at", number === look.at));

  const draw = () => {
    const prompt = pictures.prompts(wall().kind)[look.prompt];
    const count = pictures.prompts(wall().kind).length;
    dialog.replaceChildren(
      el(
        "div",
        { class: "tools" },
        el("button", { type: "button", onclick: () => dialog.close(), "aria-label": "close" }, "✕ close"),
        [1, 2, 4].map((number) => el("button", { type: "button", "aria-pressed": String(look.panes.length === number), onclick: () => resize(number) }, String(number))),
        el("button", { type: "button", onclick: () => zoomBy(-1), "aria-label": "smaller" }, "−"),
        el("button", { type: "button", onclick: () => zoomBy(1), "aria-label": "larger" }, "+"),
        el("button", { type: "button", "aria-pressed": String(look.flipped !== null), onclick: flip }, "base in place (f)"),
        el("span", { class: "faint" }, "← → trial   ↑ ↓ prompt   [ ] step   tab picture"),
      ),
      el("p", { class: "caption" }, `${look.prompt + 1} of ${count}: ${prompt ? prompt.text : ""}`),
      el("div", { class: "panes" }, look.panes.map(drawPane)),
    );
  };

  const resize = (count) => {
    const trials = shownTrials();
    const fresh = ["base", "real", ...trials.map((trial) => trial.number)].filter((what) => !look.panes.some((pane) => pane.what === what));
    while (look.panes.length < count) look.panes.push({ what: fresh.shift() ?? "base" });
    look.panes.length = count;
    look.at = Math.min(look.at, count - 1);
    look.flipped = null;
    draw();
  };

  const zoomBy = (by) => {
    const current = look.zoom || 4;
    look.zoom = ZOOMS[Math.max(0, Math.min(ZOOMS.length - 1, ZOOMS.findIndex((zoom) => zoom >= current) + by))];
    draw();
  };

  const flip = () => {
    look.flipped = look.flipped === null ? look.at : null;
    draw();
  };

  const keys = {
    f: flip,
    "+": () => zoomBy(1),
    "-": () => zoomBy(-1),
    1: () => resize(1),
    2: () => resize(2),
    4: () => resize(4),
    ArrowLeft: () => next(-1),
    ArrowRight: () => next(1),
    ArrowUp: () => another(-1),
    ArrowDown: () => another(1),
    "[": () => Page.wallStep(-1, draw),
    "]": () => Page.wallStep(1, draw),
  };

  const next = (by) => {
    const order = ["real", "base", ...shownTrials().map((trial) => trial.number)];
    const pane = look.panes[look.at];
    pane.what = order[Math.max(0, Math.min(order.length - 1, order.indexOf(pane.what) + by))];
    draw();
  };

  const another = (by) => {
    look.prompt = Math.max(0, Math.min(pictures.prompts(wall().kind).length - 1, look.prompt + by));
    draw();
  };

  const onKey = (event) => {
    if (event.target.tagName === "SELECT" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Tab") {
      look.at = (look.at + (event.shiftKey ? look.panes.length - 1 : 1)) % look.panes.length;
      mark();
    } else if (!keys[event.key]) return;
    else keys[event.key]();
    event.preventDefault();
    event.stopPropagation();
  };

  /** Open a trial's picture of a prompt beside the base's. */
  Page.compare = (trial, prompt) => {
    if (!dialog) {
      dialog = el("dialog", { class: "compare", "aria-label": "pictures side by side", onkeydown: onKey, onclose: () => Page.redraw("wall") });
      document.body.append(dialog);
    }
    Object.assign(look, { panes: [{ what: trial.number }, { what: "base" }], prompt, at: 0, flipped: null });
    draw();
    dialog.showModal();
    dialog.focus();
  };
}
