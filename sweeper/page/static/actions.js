"use strict";
/* What a person may do from the live page: choose a checkpoint, take that back, stop and go on. Each shows its command. */
{
  const { el, store } = Page;

  /* Studies that something is being done with. The page may draw a button anew meanwhile, so no button remembers it. */
  const busy = new Set();

  const mark = (study) => {
    for (const button of document.querySelectorAll("button[data-study]")) {
      if (button.dataset.study !== study) continue;
      button.disabled = busy.has(study);
      button.setAttribute("aria-busy", String(busy.has(study)));
    }
  };

  const act = async (study, action, wanted) => {
    if (busy.has(study)) return;
    busy.add(study);
    mark(study);
    try {
      const { lines } = await Page.post(`/api/studies/${encodeURIComponent(study)}/${action}`, wanted);
      Page.say(lines.join(" "));
    } catch (error) {
      Page.say(error.message);
    }
    await Page.askNow();
    busy.delete(study);
    mark(study);
  };

  /* One thing at a time is done with a study: all its buttons wait for the one that was pressed. */
  const button = (study, focus, text, command, onclick) =>
    el("button", { type: "button", data: { focus, study }, title: command, disabled: busy.has(study), "aria-busy": String(busy.has(study)), onclick }, text);

  const ask = (title, words, command, go) => {
    const dialog = el("dialog", { class: "help", "aria-label": title, onclose: (event) => event.target.remove() });
    const yes = el("button", { type: "button", onclick: () => { dialog.close(); go(); } }, title);
    dialog.append(el("h2", {}, title), el("p", {}, words), el("p", {}, "The same on the command line: ", el("code", {}, command)), el("p", { class: "tools" }, yes, el("button", { type: "button", onclick: () => dialog.close() }, "cancel")));
    document.body.append(dialog);
    dialog.showModal();
  };

  const asking = (study, focus, title, words, command, action, wanted) =>
    button(study, focus, `${title} …`, command, () => ask(title, words, command, () => act(study, action, wanted)));

  /** A button that makes a trial's checkpoint the best; it asks before. */
  Page.chooseButton = (trial) => {
    const { study } = store;
    if (trial.chosen === null || study.state === "running") return null;
    const isBest = study.choice && study.choice.training === trial.name && study.choice.step === trial.chosen;
    if (isBest) return null;
    const command = `sweeper choose ${study.name} trial=${trial.name} step=${trial.chosen}`;
    const words = `best/ and the champion in MLflow become trial ${trial.name} at step ${trial.chosen}, noted as your choice. What is best now is kept, and can be brought back.`;
    return Page.actButton("use this checkpoint", words, command, "choose", { trial: trial.name, step: trial.chosen });
  };

  /** A button that has the server do something of the study that is shown; it asks before. */
  Page.actButton = (title, words, command, action, wanted) => asking(store.study.name, action, title, words, command, action, wanted);

  const stop = ({ name }) => asking(name, `stop-${name}`, "stop", "Every trial saves its state; the same command goes on from there.", "Ctrl-C where it runs", "stop", {});
  const goOn = ({ name, command }) => asking(name, `resume-${name}`, "go on", "It goes on where it was stopped, and outlives this page.", command, "resume", {});
  const undo = ({ name }) => button(name, "undo", "undo the choice by hand", `sweeper choose ${name} undo=true`, () => act(name, "choose", { undo: true }));

  /** What may be done with a study, as buttons. */
  Page.studyButtons = (study) => {
    const isHand = study.choice && study.choice.by_hand;
    return [study.state === "running" && stop(study), study.state === "unfinished" && study.command && goOn(study), isHand && undo(study)].filter(Boolean);
  };
}
