"use strict";
/* A chart's frame: title, axes, grid. */
{
  const { svg } = Page;
  const MARGIN = { top: 26, right: 10, bottom: 22, left: 44 };

  /**
   * An empty chart of `width` × `height` pixels with axes from `x` and `y` ({domain, log}); `title` is written above it
   * and, with `words`, read aloud. Returns {node, x, y, body}.
   */
  Page.frame = ({ width, height, title, words, x, y, note = "", left = MARGIN.left, xTicks = null }) => {
    const right = width - MARGIN.right;
    const bottom = height - MARGIN.bottom;
    const across = Page.scale(x.domain, [left, right], x.log);
    const up = Page.scale(y.domain, [bottom, MARGIN.top], y.log);
    const body = svg("g");
    const grid = svg("g", { class: "grid" });
    for (const tick of up.ticks(Math.max(2, Math.round(height / 42)))) {
      const at = up(tick);
      if (at < MARGIN.top - 1 || at > bottom + 1) continue;
      grid.append(
        svg("line", { x1: left, x2: right, y1: at, y2: at }),
        svg("text", { x: left - 6, y: at + 4, "text-anchor": "end" }, Page.number(tick)),
      );
    }
    const ticks = Page.spaced(xTicks || across.ticks(Math.max(2, Math.round(width / 64))), across, 34);
    ticks.forEach((tick, place) => {
      const at = across(tick);
      const anchor = at > right - 12 ? "end" : at < left + 4 && place === 0 ? "start" : "middle";
      grid.append(svg("text", { x: at, y: bottom + 16, "text-anchor": anchor }, Page.number(tick)));
    });
    grid.append(svg("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }));
    const node = svg(
      "svg",
      { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words || title },
      svg("text", { class: "title", x: 2, y: 14 }, title),
      note ? svg("text", { class: "note", x: right, y: 14, "text-anchor": "end" }, note) : null,
      grid,
      body,
    );
    return { node, x: across, y: up, body, left, right, top: MARGIN.top, bottom };
  };

  /** The `d` of a line through points that are numbers; it begins anew after one that is none. */
  Page.path = (points) => {
    let pen = "M";
    let words = "";
    for (const [x, y] of points) {
      if (!Number.isFinite(x) || !Number.isFinite(y)) pen = "M";
      else {
        words += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
        pen = "L";
      }
    }
    return words;
  };

  /** A word cut to so many pixels, at some six a character. */
  Page.cut = (word, room) => {
    const most = Math.max(2, Math.floor(room / 6.2));
    return word.length <= most ? word : `${word.slice(0, most - 1)}…`;
  };

  /** What a mark says when the mouse rests on it. */
  Page.hint = (text) => svg("title", {}, text);

  /** A trial in a line. */
  Page.trialWords = (trial) => {
    const score = Page.store.scoreOf(trial);
    const params = Object.entries(trial.params).map(([name, value]) => `${name} ${Page.value(value)}`);
    return `trial ${trial.name}${score === null ? "" : `, score ${Page.score(score)}`}: ${params.join(", ")}`;
  };
}
