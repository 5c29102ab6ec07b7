"use strict";
/* The rows of what is searched, in the form that starts a study. */
{
  const { el } = Page;
  const HOWS = { own: "as it is", value: "one value for all", choice: "one of", even: "between, evenly", log: "between, by its logarithm" };

  const split = (text) => text.split(/[\s,;]+/).filter(Boolean);

  const values = (row, spec, changed) => {
    const label = (words) => `${row.key}: ${words}`;
    const text = (place, words, more = {}) =>
      el("input", { type: "text", value: row.texts[place] || "", "aria-label": label(words), placeholder: words, autocomplete: "off", data: { focus: `start-${row.key}-${place}` }, oninput: (event) => { row.texts[place] = event.target.value; changed(); }, ...more });
    if (row.how === "own") return null;
    if (spec.options.length && row.how === "value")
      return el("select", { "aria-label": label("value"), onchange: (event) => { row.texts = [event.target.value]; changed(); } }, ["", ...spec.options].map((name) => el("option", { value: name, selected: name === row.texts[0] }, name || "choose …")));
    if (spec.options.length)
      return spec.options.map((name) => {
        const toggle = (event) => {
          row.texts = spec.options.filter((each) => (each === name ? event.target.checked : row.texts.includes(each)));
          changed();
        };
        return el("label", { class: "check" }, el("input", { type: "checkbox", checked: row.texts.includes(name), onchange: toggle }), name);
      });
    if (row.how === "value") return text(0, "value");
    if (row.how === "choice")
      return el("input", { type: "text", value: row.texts.join(", "), "aria-label": label("values"), placeholder: "4, 8, 16", autocomplete: "off", oninput: (event) => { row.texts = split(event.target.value); changed(); } });
    return [text(0, "from"), " to ", text(1, "to")];
  };

  /** The row of one key: how it is searched is kept in `row`; `changed` is called with whether it is to be drawn anew. */
  Page.searchRow = (row, spec, words, changed) => {
    const hows = Object.entries(HOWS).filter(([how]) => !(spec.options.length && ["even", "log"].includes(how)));
    const choose = (event) => {
      row.how = event.target.value;
      row.texts = [];
      changed(true);
    };
    const id = `mistake-${row.key}`;
    return el(
      "tr",
      { data: { key: row.key } },
      el("th", { scope: "row", title: spec.meaning }, row.key, el("span", { class: "faint" }, spec.comments ? "" : spec.takes)),
      el("td", { class: "words" }, words),
      el("td", {}, el("select", { "aria-label": `how ${row.key} is searched`, "aria-describedby": id, data: { focus: `start-how-${row.key}` }, onchange: choose }, hows.map(([how, name]) => el("option", { value: how, selected: how === row.how }, name)))),
      el("td", { class: "values" }, values(row, spec, () => changed(false)), el("p", { class: "mistake", id, data: { mistake: row.key }, hidden: true })),
    );
  };
}
