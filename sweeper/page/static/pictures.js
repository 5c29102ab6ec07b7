"use strict";
/* Which picture is where: of a trial by kind of prompt, number, seed, step and strength; of the base; real ones. */
{
  const { el, store } = Page;
  const fileOf = (kind, prompt, seed) => `${kind === "final" ? "prompt" : kind}${String(prompt).padStart(2, "0")}-seed${seed}.png`;
  const pictures = {
    /** Set by whoever knows: the address of a picture's thumbnail and of the picture, by its path; null where there is none. */
    thumbnail: () => null,
    whole: () => null,
  };

  /** The prompts of a kind, in order. */
  pictures.prompts = (kind) => store.study.prompts.filter((prompt) => prompt.kind === kind);

  /** The kinds that any pictures are of. */
  pictures.kinds = () => [...new Set(store.study.prompts.map((prompt) => prompt.kind))];

  const sets = (trial, kind) => trial.pictures.filter((set) => kind in set.counts);

  /** The steps, or the strengths, that pictures of a kind are of. */
  pictures.steps = (kind) => [...new Set(store.study.trials.flatMap((trial) => sets(trial, kind).map((set) => set.step)))].sort((a, b) => a - b);
  pictures.strengths = (kind) => [...new Set(store.study.trials.flatMap((trial) => sets(trial, kind).map((set) => set.strength)))].sort((a, b) => a - b);

  /** How many seeds any prompt of a kind was drawn with. */
  pictures.seeds = (kind) => store.study.trials.flatMap((trial) => sets(trial, kind).flatMap((set) => set.counts[kind])).reduce((one, other) => Math.max(one, other), 0);

  /** Those of a trial's pictures that are wanted: the last step up to `step`, or its chosen one where that is null. */
  pictures.setOf = (trial, kind, step, strength) => {
    const wanted = step === null ? trial.chosen : step;
    const fit = sets(trial, kind).filter((set) => set.strength === strength);
    const before = fit.filter((set) => wanted === null || set.step <= wanted);
    return before.length ? before[before.length - 1] : step === null ? fit[fit.length - 1] || null : null;
  };

  /** A picture's path; null where it was not drawn. */
  pictures.path = (set, kind, prompt, seed) => (set && set.counts[kind] && seed < (set.counts[kind][prompt] || 0) ? `${set.folder}/${fileOf(kind, prompt, seed)}` : null);

  pictures.base = (kind, prompt, seed) => pictures.path(store.study.base_pictures.find((set) => kind in set.counts), kind, prompt, seed);

  pictures.real = (kind, prompt) => {
    const number = (pictures.prompts(kind)[prompt] || {}).real;
    return number === null || number === undefined ? null : store.study.reals[number];
  };

  /** An image element for a path, or a box that says that there is none. */
  pictures.image = (path, words, whole = false) => {
    const source = path && ((whole && pictures.whole(path)) || pictures.thumbnail(path));
    if (!source) return el("span", { class: "none", role: "img", "aria-label": `${words}: no picture` }, path ? "left out" : "–");
    const image = el("img", { src: source, alt: words, loading: "lazy", decoding: "async", draggable: "false" });
    image.addEventListener("error", () => image.replaceWith(el("span", { class: "none", role: "img", "aria-label": `${words}: cannot be shown` }, "gone")));
    return image;
  };
  Page.pictures = pictures;
}
