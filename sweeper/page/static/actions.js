"use strict";
/* What a person may do from the live page: choose a checkpoint, take that back, stop and go on. Each shows its command. */
{
  const { el, store } = Page;

  const act = async (study, action, wanted, button) => {
    button.disabled = true;
    button.setAttribute("aria-busy", "true");
    try {
      const { lines } = await Page.post(`/api/studies/${encodeURIComponent(study)}/${action}`, wanted);
      Page.say(lines.join(" "));
    } catch (error) {
      Page.say(error.message);
    }
    button.disabled = false;
    button.removeAttribute("aria-busy");
    Page.askNow();
  };

  const ask = (title, words, command, go) => {
    const dialog = el("dialog", { class: "help", "aria-label": title, onclose: (event) => event.target.remove() });
    const yes = el("button", { type: "button", onclick: () => { dialog.close(); go(); } }, title);
    dialog.append(el("h2", {}, title), el("p", {}, words), el("p", {}, "The same on the command line: ", el("code", {}, command)), el("p", { class: "tools" }, yes, el("button", { type: "button", onclick: () => dialog.close() }, "cancel")));
    document.body.append(dialog);
    dialog.showModal();
  };

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
  Page.actButton = (title, words, command, action, wanted) => {
    const { name } = store.study;
    const button = el("button", { type: "button", data: { focus: action }, title: command, onclick: () => ask(title, words, command, () => act(name, action, wanted, button)) }, `${title} …`);
    return button;
  };

  const running = (study) => {
    const words = "Every trial saves its state; the same command goes on from there.";
    const button = el("button", { type: "button", data: { focus: `stop-${study.name}` }, onclick: () => ask("stop", words, "Ctrl-C where it runs", () => act(study.name, "stop", {}, button)) }, "stop …");
    return button;
  };

  const waiting = (study) => {
    const button = el("button", { type: "button", data: { focus: `resume-${study.name}` }, onclick: () => ask("go on", "It goes on where it was stopped, and outlives this page.", study.command, () => act(study.name, "resume", {}, button)) }, "go on …");
    return button;
  };

  /** What may be done with a study, as buttons. */
  Page.studyButtons = (study) => {
    const isHand = study.choice && study.choice.by_hand;
    const undo = isHand && el("button", { type: "button", data: { focus: "undo" }, onclick: (event) => act(study.name, "choose", { undo: true }, event.target), title: `sweeper choose ${study.name} undo=true` }, "undo the choice by hand");
    return [study.state === "running" && running(study), study.state === "unfinished" && study.command && waiting(study), undo].filter(Boolean);
  };
}
