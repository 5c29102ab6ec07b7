"use strict";
/* The live page: the list of studies, one study that is asked for news, and the addresses between which one moves. */
{
  const { el, store } = Page;
  const POLL_S = 2;
  const REST_S = 10;
  const meta = (name) => document.querySelector(`meta[name="sweeper-${name}"]`).content;
  const words = (path) => path.split("/").map(encodeURIComponent).join("/");
  const mlflow = meta("mlflow");
  const VIEWS = () => ["wall", ...Page.hooks.views.map((view) => view.name)];
  let version = 0;
  let timer = 0;
  let shown = null;
  let asked = 0;
  let troubled = false;

  Page.pictures.thumbnail = (path) => `/thumbnails/${words(path)}`;
  Page.pictures.whole = (path) => `/pictures/${words(path)}`;

  /** Ask the server for JSON; throws what it says where it has none. */
  const ask = async (address, options) => {
    const answer = await fetch(address, { cache: "no-store", ...options });
    if (!answer.ok) throw new Error((await answer.text()) || String(answer.status));
    return answer.json();
  };

  Page.ask = ask;

  /** Have the server do something; throws what it says where it does not. */
  Page.post = (address, body) => ask(address, Page.posting(body));
  Page.posting = (body) => ({ method: "POST", headers: { "X-Sweeper-Token": meta("token"), "Content-Type": "application/json" }, body: JSON.stringify(body) });

  const say = (text) => {
    let line = document.getElementById("trouble");
    if (!line) {
      line = el("p", { id: "trouble", class: "warn", role: "status" });
      document.querySelector("main").prepend(line);
    }
    line.textContent = text;
    line.hidden = !text;
  };
  Page.say = say;

  const link = (href, text, title) => el("a", { href, title, class: "link", rel: "noopener" }, text);

  Page.hooks.head = (where) => {
    if (where === "start") return [link("#/", "studies")];
    const { study } = store;
    return [...Page.studyButtons(study), ...mlflowLink(study)];
  };
  const mlflowLink = (study) => {
    return mlflow && study.experiment ? [link(`${mlflow}/#/experiments/${study.experiment}/runs?workflowType=machine_learning&viewStateShareKey=trials`, "MLflow")] : [];
  };
  Page.hooks.bar = (trial) => [
    Page.chooseButton(trial),
    el("button", { type: "button", onclick: () => { Page.show("wall"); } }, "on the wall"),
    mlflow && trial.run && store.study.experiment ? link(`${mlflow}/#/experiments/${store.study.experiment}/runs/${trial.run}/model-metrics`, "in MLflow") : null,
  ].filter(Boolean);

  const merge = (news) => {
    const study = store.study || { trials: [] };
    const trials = new Map(study.trials.map((trial) => [trial.number, trial]));
    news.trials.forEach((trial) => trials.set(trial.number, trial));
    Object.assign(study, news.study);
    study.trials = news.numbers.map((number) => trials.get(number)).filter(Boolean);
    store.study = study;
  };

  const redraw = (news) => {
    const names = Object.keys(news.study);
    if (!names.length && !news.trials.length) return;
    const onlyTime = !news.trials.length && names.every((name) => ["timeline", "left_s"].includes(name));
    if (store.view !== "overview" && onlyTime) return;
    if (store.view === "overview" && onlyTime) {
      Page.redraw("timeline");
      Page.redraw("summary");
      return;
    }
    const scroll = window.scrollY;
    const frame = document.querySelector(".wall-frame");
    const at = frame ? [frame.scrollLeft, frame.scrollTop] : null;
    Page.drawStudy();
    window.scrollTo(0, scroll);
    const after = document.querySelector(".wall-frame");
    if (at && after) [after.scrollLeft, after.scrollTop] = at;
  };

  const poll = async () => {
    clearTimeout(timer);
    const name = shown;
    const mine = (asked += 1);
    let rest = REST_S;
    try {
      const news = await ask(`/api/studies/${encodeURIComponent(name)}?since=${version}`);
      if (name !== shown || mine !== asked) return;
      const first = version === 0;
      version = news.version;
      merge(news);
      if (!document.querySelector("dialog[open]") || first) {
        if (first) Page.drawStudy(true);
        else redraw(news);
      }
      if (troubled) say("");
      troubled = false;
      rest = store.study.state === "running" ? POLL_S : REST_S;
    } catch (error) {
      if (name !== shown) return;
      troubled = true;
      say(`no answer from the server (${error.message}); asking again`);
    }
    if (name === shown) timer = setTimeout(poll, 1000 * (document.hidden ? REST_S : rest));
  };

  const row = (study) => {
    const picture = study.picture ? Page.pictures.image(study.picture, `best picture of ${study.name}`) : el("span", { class: "none" }, "–");
    return el(
      "tr",
      {},
      el("td", { class: "thumb" }, picture),
      el("th", { scope: "row" }, link(`#/${encodeURIComponent(study.name)}`, study.name)),
      el("td", {}, el("span", { class: `state ${study.state}` }, study.state)),
      el("td", { class: "num" }, Page.score(study.score)),
      el("td", { class: "num" }, `${study.ended}/${study.wanted}`),
      el("td", { class: "num" }, study.state === "running" ? Page.duration(study.left_s) : ""),
      el("td", { class: "num" }, Page.duration(study.took_s)),
      el("td", { class: "num" }, `${study.gigabytes.toFixed(1)} GB`),
      el("td", { class: "words" }, study.sentence),
      el("td", {}, Page.studyButtons(study)),
    );
  };

  const drawList = (studies) => {
    document.title = "studies – sweeper";
    document.getElementById("head").replaceChildren(
      ...[
        el("h1", {}, "Studies"),
        link("#/+start", "start a study"),
        el("span", { class: "gap" }),
        mlflow ? link(mlflow, "MLflow") : null,
        el("button", { type: "button", onclick: Page.toggleTheme, data: { focus: "theme" } }, "light / dark"),
      ].filter(Boolean),
    );
    document.getElementById("bar").hidden = true;
    const heads = ["", "study", "state", "best score", "trials", "left", "took", "memory", "how it stands", "do"];
    const head = el("tr", {}, heads.map((name, place) => (name ? el("th", { scope: "col", class: place > 2 && place < 8 ? "num" : null }, name) : el("td"))));
    const view = document.getElementById("view");
    view.removeAttribute("aria-labelledby");
    view.setAttribute("aria-label", "studies");
    view.replaceChildren(
      studies.length
        ? el("div", { class: "sideways", tabindex: "0", role: "region", "aria-label": "all studies" }, el("table", { class: "trials studies" }, el("thead", {}, head), el("tbody", {}, studies.map(row))))
        : el("p", { class: "empty" }, "There is no study in this folder yet. ", link("#/+start", "Start one")),
    );
  };

  const list = async () => {
    clearTimeout(timer);
    const mine = (asked += 1);
    try {
      const studies = await ask("/api/studies");
      if (shown !== null || mine !== asked) return;
      if (!document.querySelector("dialog[open]")) drawList(studies);
      if (troubled) say("");
      troubled = false;
    } catch (error) {
      if (shown !== null) return;
      troubled = true;
      say(`no answer from the server (${error.message}); asking again`);
    }
    timer = setTimeout(list, 1000 * 5);
  };

  /** Ask for news at once. */
  Page.askNow = () => (shown ? poll() : location.hash === `#/${Page.START}` ? null : list());

  const route = () => {
    const [, name, view] = location.hash.split("/");
    clearTimeout(timer);
    if (!name || name === Page.START) {
      shown = null;
      store.study = null;
      store.selected = null;
      asked += 1;
      if (name) Page.drawStart();
      else list();
      return;
    }
    const wanted = decodeURIComponent(name);
    store.view = VIEWS().includes(view) ? view : "overview";
    if (wanted !== shown) {
      shown = wanted;
      version = 0;
      store.study = null;
      store.selected = null;
      document.getElementById("view").replaceChildren(el("p", { class: "empty" }, "reading the study …"));
      document.getElementById("bar").hidden = true;
      poll();
    } else if (store.study) Page.drawStudy();
  };

  store.on((what) => {
    if (what !== "view" || !shown) return;
    const hash = `#/${encodeURIComponent(shown)}${store.view === "overview" ? "" : `/${store.view}`}`;
    if (location.hash !== hash) history.pushState(null, "", hash);
  });
  window.addEventListener("hashchange", route);
  window.addEventListener("popstate", route);
  document.addEventListener("visibilitychange", () => !document.hidden && shown && poll());
  route();
}
