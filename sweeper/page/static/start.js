"use strict";
/* The form that starts a study. It shows what its command would say, the command itself, and what is to be expected. */
{
  const { el } = Page;
  const WAIT_MS = 350;
  const LOOK_MS = 1000;
  const LABELS = { experiment: "experiment", base: "base", data: "pictures", "data.path": "folder", "data.kind": "kind", "data.trigger": "trigger", "eval.class_word": "class word", "study.name": "name", "study.num_trials": "trials", "train.steps": "steps of a trial", "study.hours": "hours at most" };
  const form = { groups: {}, folder: "", values: {}, rows: [] };
  let schema = null;
  let checked = null;
  let space = [];
  let asked = 0;
  let timer = 0;
  let starting = "";
  const parts = {};

  Page.START = "+start";
  const isHere = () => location.hash === `#/${Page.START}`;
  const sent = () => ({ groups: form.groups, folder: form.folder, values: form.values, search: form.rows.filter((row) => row.how !== "own").map(({ key, how, texts }) => ({ key, how, texts: texts.filter((text) => text !== undefined) })) });
  const firstSentence = (text) => text.replace(/`/g, "").split(/(?<=\.) /)[0];
  const ofKey = (key) => schema.search.find((each) => each.path === key);

  const changed = () => {
    clearTimeout(timer);
    asked += 1;
    parts.go.disabled = true;
    timer = setTimeout(check, WAIT_MS);
  };

  const field = (spec, control, hint) => {
    const id = `start-${spec.path}`;
    const mistake = el("p", { class: "mistake", id: `mistake-${spec.path}`, data: { mistake: spec.path }, hidden: true });
    control.id = id;
    control.setAttribute("aria-describedby", `hint-${spec.path} mistake-${spec.path}`);
    return el("div", { class: "field" }, el("label", { for: id, title: spec.path }, LABELS[spec.path]), control, el("p", { class: "note", id: `hint-${spec.path}` }, hint), mistake);
  };

  const chosen = (spec, current, none, set, hint) => {
    const options = [["", none], ...spec.options.map((name) => [name, name])];
    const control = el("select", { onchange: (event) => { set(event.target.value); changed(); } }, options.map(([value, words]) => el("option", { value, selected: value === current }, words)));
    return field(spec, control, hint);
  };

  const group = (spec) => {
    const hint = () => {
      const name = form.groups[spec.path];
      if (!name) return spec.path === "experiment" ? "Settings that go together." : "As the experiment has it.";
      return spec.comments[name] || "One of your own.";
    };
    const set = (name) => {
      form.groups = Object.fromEntries([...Object.entries(form.groups).filter(([path]) => path !== spec.path), ...(name ? [[spec.path, name]] : [])]);
      document.getElementById(`hint-${spec.path}`).textContent = hint();
      if (spec.path === "data") drawFolder();
    };
    return chosen(spec, form.groups[spec.path] || "", spec.path === "experiment" ? "none" : "as it is", set, hint());
  };

  const value = (spec) => {
    const set = (text) => {
      form.values = { ...form.values, [spec.path]: text };
    };
    if (spec.options.length) return chosen(spec, form.values[spec.path] || "", "as it is", set, firstSentence(spec.meaning));
    const isNumber = /number/.test(spec.takes);
    const control = el("input", { type: "text", inputmode: isNumber ? "decimal" : null, autocomplete: "off", spellcheck: "false", value: form.values[spec.path] || "", oninput: (event) => { set(event.target.value); changed(); } });
    return field(spec, control, `${firstSentence(spec.meaning)}${isNumber ? ` A ${spec.takes.replace(" or null", "")}.` : ""}`);
  };

  const drawFolder = () => {
    const isWanted = form.groups.data === "folder";
    parts.folder.hidden = !isWanted;
    if (!isWanted) return;
    const spec = schema.values.find((each) => each.path === "data.path");
    const place = el("div", { class: "part" });
    const go = (path) => {
      form.folder = path;
      control.value = path;
      Page.previewFolder(place, path, go);
      changed();
    };
    let pause = 0;
    const typed = (event) => {
      clearTimeout(pause);
      form.folder = event.target.value;
      pause = setTimeout(() => go(form.folder), WAIT_MS);
    };
    const control = el("input", { type: "text", class: "path", autocomplete: "off", spellcheck: "false", value: form.folder, oninput: typed });
    parts.folder.replaceChildren(field(spec, control, `A folder in ${schema.roots.join(", ")}: pictures with their captions.`), place);
    Page.previewFolder(place, form.folder, go);
  };

  const drawSearch = () => {
    const focus = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.focus : null;
    const own = new Map();
    for (const each of space) own.set(each.key, [...(own.get(each.key) || []), each.words]);
    form.rows = form.rows.filter((row) => row.how !== "own" || own.has(row.key));
    for (const key of own.keys()) if (ofKey(key) && !form.rows.some((row) => row.key === key)) form.rows.push({ key, how: "own", texts: [] });
    const wordsOf = (row) => (own.get(row.key) || ["not searched"]).join("; ");
    const as = form.rows.map((row) => `${row.key} ${row.how}`).join("\n");
    if (as === parts.search.dataset.as) {  // somebody may be typing in one of them
      for (const row of form.rows) parts.search.querySelector(`tr[data-key="${CSS.escape(row.key)}"] td.words`).textContent = wordsOf(row);
      return;
    }
    parts.search.dataset.as = as;
    const again = (whole) => {
      if (whole) drawSearch();
      changed();
    };
    const rows = form.rows.map((row) => Page.searchRow(row, ofKey(row.key), wordsOf(row), again));
    const head = ["what", "now", "searched", "values"].map((name) => el("th", { scope: "col" }, name));
    const left = schema.search.filter((spec) => !form.rows.some((row) => row.key === spec.path));
    const add = (event) => {
      if (!event.target.value) return;
      form.rows.push({ key: event.target.value, how: "choice", texts: [] });
      again(true);
    };
    parts.search.replaceChildren(
      el("div", { class: "sideways", tabindex: "0", role: "region", "aria-label": "the search space" }, el("table", { class: "trials searches" }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows))),
      el("p", { class: "tools" }, el("label", {}, "search another ", el("select", { data: { focus: "start-add" }, onchange: add }, [el("option", { value: "" }, "choose …"), ...left.map((spec) => el("option", { value: spec.path, title: spec.meaning }, spec.path))]))),
    );
    const node = focus && parts.search.querySelector(`[data-focus="${CSS.escape(focus)}"]`);
    if (node) node.focus({ preventScroll: true });
  };

  const showMistakes = () => {
    const problems = (checked && checked.problems) || {};
    const places = new Map([...document.querySelectorAll("[data-mistake]")].map((node) => [node.dataset.mistake, node]));
    for (const [path, node] of places) {
      const lines = problems[path] || [];
      node.textContent = lines.join(" ");
      node.hidden = !lines.length;
      const control = document.getElementById(`start-${path}`);
      if (control) control.setAttribute("aria-invalid", String(lines.length > 0));
    }
    const others = Object.entries(problems).filter(([path]) => !places.has(path)).flatMap(([, lines]) => lines);
    const count = Object.values(problems).flat().length;
    parts.others.replaceChildren(...others.map((line) => el("p", { class: "mistake" }, line)));
    parts.state.textContent = starting || (count ? `${count} ${count === 1 ? "mistake" : "mistakes"}, each at its field; nothing was started` : "");
    parts.go.disabled = Boolean(count || starting || !checked || !checked.name);
  };

  const show = () => {
    for (const spec of [...schema.groups, ...schema.values]) {
      const control = document.getElementById(`start-${spec.path}`);
      const own = checked.defaults[spec.path];
      if (control && control.tagName === "INPUT" && spec.path !== "data.path") control.placeholder = own || "";
      if (control && control.tagName === "SELECT" && !control.value && own) control.options[0].textContent = `as it is: ${own}`;
    }
    parts.command.textContent = checked.command || "–";
    parts.expect.replaceChildren(...[...checked.forecast, ...checked.notes].map((line) => el("li", {}, line)));
    drawSearch();
    showMistakes();
  };

  const check = async () => {
    const mine = (asked += 1);
    parts.state.textContent = "looking …";
    try {
      const found = await Page.post("/api/start/check", sent());
      if (mine !== asked || !isHere()) return;
      checked = found;
      if (found.space.length) space = found.space;
      Page.say("");
      show();
    } catch (error) {
      if (mine !== asked || !isHere()) return;
      parts.state.textContent = "";
      Page.say(error.message);
    }
  };

  const follow = async (name) => {
    if (!isHere() || !starting) return;
    try {
      const going = await Page.ask(`/api/start/going/${encodeURIComponent(name)}`);
      if (!isHere()) return;
      if (going.state === "started") {
        starting = "";
        form.values = { ...form.values, "study.name": "" };
        location.hash = `#/${encodeURIComponent(name)}`;
        return;
      }
      if (going.state === "failed") {
        starting = "";
        checked = { ...checked, problems: going.problems };
        showMistakes();
        return;
      }
      parts.state.textContent = [starting, ...going.lines.slice(-1)].join(" ");
    } catch (error) {
      Page.say(`no answer from the server (${error.message}); asking again`);
    }
    setTimeout(() => follow(name), LOOK_MS);
  };

  /** Have something done with the form; what the server says of it, with `problems` where it was not. */
  const send = async (address) => {
    try {
      const answer = await fetch(address, Page.posting(sent()));
      return await answer.json();
    } catch (error) {
      return { problems: { "": [`no answer from the server (${error.message})`] } };
    }
  };

  const foretell = async () => {
    const mine = asked;
    parts.foretell.disabled = true;
    parts.full.textContent = "computing …";
    parts.full.hidden = false;
    const said = await send("/api/start/forecast");
    if (!isHere()) return;
    parts.foretell.disabled = false;
    if (mine !== asked) {
      parts.full.textContent = "the form has changed since";
      return;
    }
    parts.full.textContent = said.problems ? "" : said.lines.join("\n");
    parts.full.hidden = Boolean(said.problems);
    if (!said.problems) return;
    checked = { ...checked, problems: said.problems };
    showMistakes();
  };

  const start = async () => {
    parts.go.disabled = true;
    const said = await send("/api/start");
    if (!said.problems) {
      starting = `study ${said.name} is starting …`;
      showMistakes();
      follow(said.name);
    } else {
      checked = { ...checked, problems: said.problems };
      showMistakes();
    }
  };

  const section = (name, title, ...content) => el("section", { class: name, "aria-labelledby": `head-${name}` }, el("h2", { id: `head-${name}` }, title), content);

  const draw = () => {
    const values = (...names) => el("div", { class: "fields" }, names.map((path) => value(schema.values.find((each) => each.path === path))));
    parts.folder = el("div", { class: "own-folder", hidden: true });
    parts.search = el("div", {});
    parts.others = el("div", {});
    parts.command = el("code", {}, "–");
    parts.expect = el("ul", { class: "expected" });
    parts.state = el("p", { class: "faint", role: "status" }, "looking …");
    parts.full = el("pre", { class: "full", tabindex: "0", role: "region", "aria-label": "memory, time and disk", hidden: true });
    parts.foretell = el("button", { type: "button", onclick: foretell, title: "forecast=true on the command line" }, "compute memory, time and disk");
    parts.go = el("button", { type: "submit", class: "go", disabled: true }, "start");
    const submit = (event) => {
      event.preventDefault();
      if (!parts.go.disabled) start();
    };
    const view = document.getElementById("view");
    view.setAttribute("aria-label", "start a study");
    view.replaceChildren(
      el(
        "form",
        { class: "start", onsubmit: submit, "aria-label": "a new study" },
        section("learn", "What is learned", el("div", { class: "fields" }, schema.groups.map(group)), parts.folder, values("data.kind", "data.trigger", "eval.class_word")),
        section("much", "How much", values("study.name", "study.num_trials", "train.steps", "study.hours")),
        section("searched", "What is searched", parts.search),
        section("expect", "What is to be expected", parts.expect, parts.full, parts.others, el("p", {}, "The same on the command line: ", parts.command), el("p", { class: "tools" }, parts.go, parts.foretell, parts.state)),
      ),
    );
    drawFolder();
  };

  /** Draw the form as it was left. */
  Page.drawStart = async () => {
    document.title = "start a study – sweeper";
    document.getElementById("head").replaceChildren(
      el("a", { href: "#/", class: "link" }, "studies"),
      el("h1", {}, "Start a study"),
      el("span", { class: "gap" }),
      el("button", { type: "button", onclick: Page.toggleTheme, data: { focus: "theme" } }, "light / dark"),
    );
    document.getElementById("bar").hidden = true;
    const view = document.getElementById("view");
    view.removeAttribute("aria-labelledby");
    view.replaceChildren(el("p", { class: "empty" }, "reading what may be set …"));
    try {
      schema = await Page.ask("/api/start");
    } catch (error) {
      Page.say(error.message);
      return;
    }
    if (!isHere()) return;
    draw();
    check();
  };
}
