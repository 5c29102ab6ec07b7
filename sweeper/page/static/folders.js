"use strict";
/* Looks into folders of pictures before a study starts: the folders in one, its first pictures and their captions. */
{
  const { el } = Page;
  const picture = (file) => `/api/start/picture?path=${encodeURIComponent(file)}`;

  const button = (words, title, go) => el("button", { type: "button", title, onclick: go }, words);

  const walk = (shown, go) => {
    const up = shown.above && button("↑ above", shown.above, () => go(shown.above));
    const below = shown.folders.map((name) => button(name, `${shown.folder}/${name}`, () => go(`${shown.folder}/${name}`)));
    return up || below.length ? el("div", { class: "tools", role: "group", "aria-label": "folders" }, up, below) : null;
  };

  const pictures = (shown) => {
    const figures = shown.pictures.map((each) =>
      el("li", {}, el("img", { src: picture(each.file), alt: "", loading: "lazy", decoding: "async" }), el("span", { class: "clamp", title: each.caption }, each.caption || "no caption")),
    );
    return el("ul", { class: "preview", "aria-label": "the first pictures with their captions" }, figures);
  };

  /** Draw into `place` what is in the folder `path`; `go` is called with another folder that is chosen there. */
  Page.previewFolder = async (place, path, go) => {
    const mine = (place.asked = (place.asked || 0) + 1);
    let parts;
    try {
      const shown = await Page.ask(`/api/start/folder?path=${encodeURIComponent(path)}`);
      const words = shown.count ? `${shown.count} pictures${shown.pictures.length < shown.count ? `, the first ${shown.pictures.length} of them:` : ":"}` : shown.problem;
      parts = [
        walk(shown, go),
        el("p", { class: shown.count ? "" : "faint" }, words),
        shown.found && el("p", { class: "faint" }, shown.found),
        shown.count && pictures(shown),
        ...shown.notes.map((line) => el("p", { class: "note" }, line)),
      ];
    } catch (error) {
      parts = [el("p", { class: "faint" }, error.message)];
    }
    if (mine === place.asked) place.replaceChildren(...parts.filter(Boolean));
  };
}
