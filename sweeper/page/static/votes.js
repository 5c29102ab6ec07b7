"use strict";
/* Votes: a pair of pictures of one prompt and seed, nobody says whose; and what all votes say together. */
{
  const { el, store, pictures } = Page;
  const SIDES = ["left", "right"];
  const WORDS = { left: "← the left", alike: "↓ alike", right: "the right →" };
  const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "alike" };
  const state = { study: null, question: null, pair: null, why: "", busy: false };

  const address = (what) => `/api/studies/${encodeURIComponent(store.study.name)}/${what}`;

  const next = async () => {
    const { name } = store.study;
    state.study = name;
    try {
      const question = await Page.ask(address("votes"));
      Object.assign(state, { question, why: "" });
      state.pair = pair(); // once for each question: whatever else is news, the pictures stay
    } catch (error) {
      Object.assign(state, { question: null, why: error.message });
    }
    state.busy = false;
    if (store.study && store.study.name === name) Page.redraw("votes");
  };

  const vote = async (answer) => {
    if (state.busy || !state.question) return;
    state.busy = true;
    try {
      await Page.post(address("vote"), { ticket: state.question.ticket, answer });
      Page.say("");
    } catch (error) {
      Page.say(error.message);
    }
    await next();
  };

  const pane = (side) => {
    const image = el("img", { src: `/votes/${state.question.ticket}/${side}.png`, alt: `the ${side} picture`, draggable: "false" });
    const fit = () => {
      const room = Math.min((document.getElementById("view").clientWidth * (window.innerWidth > 1000 ? 0.56 : 1) - 60) / 2, Math.max(200, window.innerHeight - 300), 512);
      const zoom = room / image.naturalWidth;
      image.style.setProperty("width", `${image.naturalWidth * (zoom > 1 ? Math.floor(zoom) : zoom)}px`);
    };
    image.addEventListener("load", fit);
    return el("button", { type: "button", class: "ballot", data: { focus: `vote-picture-${side}` }, "aria-label": `the ${side} picture is better`, onclick: () => vote(side) }, image);
  };

  const pair = () => {
    const prompt = pictures.prompts("prompt")[state.question.prompt];
    return el(
      "section",
      { class: "pair", "aria-label": "which picture is better?" },
      el("h2", {}, "Which is better?"),
      el("p", { class: "caption" }, prompt ? prompt.text : `prompt ${state.question.prompt + 1}`),
      el("div", { class: "panes" }, SIDES.map(pane)),
      el("p", { class: "tools" }, ["left", "alike", "right"].map((answer) => el("button", { type: "button", data: { focus: `vote-${answer}` }, onclick: () => vote(answer) }, WORDS[answer]))),
      el("p", { class: "note" }, "The same prompt and seed from two trials; whose is on which side is chance, and is not told. Keys ← → and ↓ do the same."),
    );
  };

  /* Of few votes follow bounds of several times the leader's worth, which say no more than that. */
  const bars = ([middle, low, high]) => `${Math.round(middle)} % (${Math.round(low)} to ${high > 200 ? "over 200" : Math.round(high)})`;

  const standing = () => {
    const { question } = state;
    const heads = ["trial", "step", "judge's score", "liked best", "beside the leader"];
    const row = (each, place) =>
      el(
        "tr",
        { class: "mark", data: { trial: each.number } },
        el("th", { scope: "row" }, el("button", { type: "button", class: "plain" }, each.name)),
        el("td", { class: "num" }, String(each.step)),
        el("td", { class: "num" }, Page.score(each.score)),
        el("td", { class: "num" }, `${Math.round(100 * each.chance)} %`),
        el("td", { class: "num" }, !place ? "100 %" : question.votes ? bars(each.worth) : `${Math.round(each.worth[0])} %`),
      );
    const leader = question.table[0];
    const command = `sweeper votes ${store.study.name} choose=true`;
    const words = `best/ and the champion in MLflow become trial ${leader.name} at step ${leader.step}, which the votes like best. What is best now is kept, and can be brought back.`;
    const isBest = store.study.choice && store.study.choice.training === leader.name && store.study.choice.step === leader.step;
    const canChoose = question.votes > 0 && store.study.state !== "running" && !isBest;
    return el(
      "section",
      { class: "standing", "aria-label": "what the votes say" },
      el("h2", {}, "What the votes say"),
      question.words.map((line) => el("p", { class: "words" }, line)),
      el("div", { class: "sideways", tabindex: "0", role: "region", "aria-label": "the candidates" }, el("table", { class: "trials" }, el("thead", {}, el("tr", {}, heads.map((name, place) => el("th", { scope: "col", class: place ? "num" : null }, name)))), el("tbody", {}, question.table.map(row)))),
      canChoose ? el("p", { class: "tools" }, Page.actButton("use the leader", words, command, "choose-voted", {})) : null,
      el("p", { class: "note" }, `Votes are in votes.jsonl in the study's folder. study.taste_from=${store.study.name} steers another study by what they weigh.`),
    );
  };

  const draw = () => {
    if (state.study !== store.study.name) {
      Object.assign(state, { question: null, why: "" });
      next();
    }
    if (state.why) return el("p", { class: "empty" }, state.why);
    return state.question ? el("div", { class: "voting" }, state.pair, standing()) : el("p", { class: "empty" }, "looking for a pair …");
  };

  Page.hooks.views.push({
    name: "votes",
    words: "Votes",
    key: "v",
    help: [["v", "votes"], ["← →, ↓", "votes: the left is better, the right; alike"]],
    draw,
    press: (key) => {
      if (!KEYS[key] || !state.question) return false;
      vote(KEYS[key]);
      return true;
    },
  });
}
