"use strict";
/* What won and why, with a few pictures; what is in the slots now. */
{
  const { el, store, pictures } = Page;
  const SHOWN = 4;

  const facts = (study) => {
    const ended = study.trials.filter((trial) => ["finished", "pruned", "failed"].includes(trial.status) && !trial.is_rerun).length;
    const rows = [
      ["base", study.base],
      ["learns", [study.kind, study.trigger && `“${study.trigger}”`].filter(Boolean).join(", ")],
      ["trials", `${ended} of ${Math.max(study.trials_wanted, ended)} ended`],
      ["took", `training ${Page.duration(study.training_s)}, judging ${Page.duration(study.judging_s)}`],
      ["memory", `${study.gigabytes.toFixed(1)} GB at most`],
      study.left_s !== null && ["left", `about ${Page.duration(study.left_s)}, then the finalists`],
      study.command && ["command", study.command],
      study.best.length && ["best/", study.best.join(", ")],
    ];
    return el("dl", { class: "facts" }, rows.filter(Boolean).map(([name, words]) => [el("dt", {}, name), el("dd", {}, words || "–")]));
  };

  const leader = () => {
    const { study } = store;
    const won = study.choice && study.trials.find((trial) => trial.name === study.choice.training);
    return won || store.ranking().find((trial) => store.scoreOf(trial) !== null);
  };

  const strip = (trial) => {
    const kind = "prompt";
    const set = pictures.setOf(trial, kind, null, 1);
    if (!set) return null;
    const prompts = pictures.prompts(kind).slice(0, SHOWN);
    const cell = (path, words) => el("td", {}, pictures.image(path, words));
    const real = (number) => pictures.real(kind, number);
    const rows = [
      prompts.some((_, number) => real(number)) && ["real", (number) => cell(real(number) && real(number).file, `real picture: ${real(number) ? real(number).caption : ""}`)],
      ["base", (number) => cell(pictures.base(kind, number, 0), `the base: ${prompts[number].text}`)],
      [`trial ${trial.name}`, (number) => cell(pictures.path(set, kind, number, 0), `trial ${trial.name}: ${prompts[number].text}`)],
    ];
    const body = rows.filter(Boolean).map(([name, draw]) => el("tr", {}, el("th", { scope: "row" }, name), prompts.map((_, number) => draw(number))));
    const head = el("tr", {}, el("td"), prompts.map((prompt) => el("th", { scope: "col", title: prompt.text }, el("span", { class: "clamp" }, prompt.text))));
    return el("table", { class: "strip" }, el("thead", {}, head), el("tbody", {}, body));
  };

  /** The first thing that is read. */
  Page.summary = () => {
    const { study } = store;
    const first = leader();
    return el(
      "div",
      { class: "summary" },
      el(
        "div",
        {},
        study.sentences.map((words) => el("p", { class: "sentence" }, words)),
        study.notes.map((words) => el("p", { class: "warn" }, words)),
        facts(study),
      ),
      first ? strip(first) : null,
    );
  };

  /** The slots that are at work, a row each; nothing where none is. */
  Page.slots = () => {
    const open = store.study.trials.filter((trial) => trial.status === "running");
    if (!open.length) return null;
    const rows = open.map((trial) => {
      const last = trial.evaluations[trial.evaluations.length - 1];
      return el(
        "tr",
        { class: "mark", data: { trial: trial.number } },
        el("td", { class: "num" }, trial.slot === null ? "–" : trial.slot),
        el("th", { scope: "row", class: "num" }, trial.name),
        el("td", {}, el("span", { class: "progress" }, el("span", { class: "fill", css: { width: `${(100 * trial.step) / Math.max(1, store.study.steps)}%` } })), ` ${trial.step}/${store.study.steps}`),
        el("td", { class: "num" }, Page.number(trial.loss)),
        el("td", { class: "num" }, last ? Page.score(last.score) : "–"),
        el("td", { class: "num" }, last ? last.overfit.toFixed(2) : "–"),
        el("td", { class: "words" }, Object.entries(trial.params).map(([name, value]) => `${name} ${Page.value(value)}`).join(", ")),
      );
    });
    const head = ["slot", "trial", "step", "loss", "score", "overfit", "what it tries"].map((name, place) => el("th", { scope: "col", class: place === 2 || place === 6 ? null : "num" }, name));
    return el("div", { class: "sideways", tabindex: "0", role: "region", "aria-label": "slots" }, el("table", { class: "trials" }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows)));
  };
}
