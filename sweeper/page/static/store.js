"use strict";
/* What is looked at: the study, the selected trial, and who wants to know of a change. */
{
  const listeners = [];
  const store = {
    study: null,
    selected: null,
    hovered: null,
    view: "overview",
    /** Call `listener` with what has changed: "study", "selected", "view". */
    on: (listener) => listeners.push(listener),
    tell: (what) => listeners.forEach((listener) => listener(what)),
    /** Select a trial by its number everywhere; the same again, or null, selects none. */
    select: (number) => {
      store.selected = number === store.selected ? null : number;
      store.mark();
      store.tell("selected");
    },
    hover: (number) => {
      if (number === store.hovered) return;
      store.hovered = number;
      mark("hovered", number);
    },
    /** Give everything that stands for the selected trial its look again, after something was drawn anew. */
    mark: () => mark("selected", store.selected),
    trial: (number) => (store.study ? store.study.trials.find((each) => each.number === number) : undefined),
  };

  const mark = (look, number) => {
    document.querySelectorAll(`.${look}[data-trial]`).forEach((node) => node.classList.remove(look));
    if (number === null) return;
    document.querySelectorAll(`[data-trial="${Number(number)}"]`).forEach((node) => {
      node.classList.add(look);
      if (node.ownerSVGElement && node.classList.contains("mark") && node.nextSibling) node.parentNode.append(node);
    });
  };

  /** The evaluation that counts for a trial. */
  store.chosen = (trial) => trial.evaluations.find((each) => each.step === trial.chosen);

  /** A trial's score, by which it is ranked; null without any. */
  store.scoreOf = (trial) => {
    const chosen = store.chosen(trial);
    return chosen ? chosen.score : null;
  };

  /** Trials, the best first; those without a score last. */
  store.ranking = () => {
    const sign = store.study.higher_is_better ? 1 : -1;
    const key = (trial) => {
      const score = store.scoreOf(trial);
      return score === null ? -Infinity : sign * score;
    };
    return [...store.study.trials].sort((one, other) => key(other) - key(one) || one.number - other.number);
  };

  /** Whether a trial's training was chosen. */
  store.isWinner = (trial) => Boolean(store.study.choice) && store.study.choice.training === trial.name;

  document.addEventListener("mouseover", (event) => {
    const node = event.target.closest ? event.target.closest("[data-trial]") : null;
    store.hover(node ? Number(node.dataset.trial) : null);
  });
  document.addEventListener("click", (event) => {
    const node = event.target.closest ? event.target.closest(".mark[data-trial]") : null;
    if (node) store.select(Number(node.dataset.trial));
  });
  Page.store = store;
}
