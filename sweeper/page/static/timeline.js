"use strict";
/* What each slot did when. */
{
  const { svg, el, store } = Page;
  const ROW = 24;
  const KINDS = ["loading", "training", "judging", "waiting", "idle"];
  const MEANS = { loading: "loading", training: "training", judging: "judging", waiting: "waiting while another slot is judged", idle: "idle" };

  const [MINUTE, HOUR, DAY] = [60, 3600, 86400];
  const STEPS = [1, 2, 5, 10, 15, 30, ...[1, 2, 5, 10, 15, 30].map((each) => each * MINUTE), ...[1, 2, 3, 6, 12].map((each) => each * HOUR)];

  /** Moments of an axis, at most so many, whole in the units that they are written in; with their words. */
  const moments = (seconds, most) => {
    const step = STEPS.find((each) => seconds / each <= most) || Math.ceil(seconds / most / DAY) * DAY;
    const words = (at) => {
      if (step >= HOUR) return `${at / HOUR} h`;
      if (step >= MINUTE) return `${at / MINUTE} min`;
      return seconds < MINUTE ? `${at} s` : `${Math.floor(at / MINUTE)}:${String(at % MINUTE).padStart(2, "0")}`;
    };
    return Array.from({ length: Math.floor(seconds / step) + 1 }, (_, number) => [number * step, words(number * step)]);
  };

  /** A row a slot, time to the right. */
  Page.timeline = (width) => {
    const { timeline } = store.study;
    if (!timeline.lanes.length) return el("p", { class: "empty" }, "no trial has begun");
    const left = Math.min(150, 12 + 7 * Math.max(...timeline.lanes.map((lane) => lane.name.length)));
    const right = width - 14;
    const height = timeline.lanes.length * ROW + 24;
    const x = Page.scale([0, Math.max(1, timeline.seconds)], [left, right]);
    const chart = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `what ${timeline.lanes.length} slots did in ${Page.duration(timeline.seconds)}` });
    timeline.lanes.forEach((lane, row) => {
      const y = row * ROW + 2;
      chart.append(svg("g", { class: "grid" }, svg("text", { x: 2, y: y + 14 }, lane.name)));
      let named = null;
      for (const span of lane.spans) {
        const [from, to] = [x(span.began), x(span.ended)];
        const trial = store.study.trials.find((each) => each.name === span.trial);
        const bar = svg("rect", { class: `span ${span.kind}`, x: from.toFixed(1), y, width: Math.max(0.5, to - from).toFixed(1), height: ROW - 6 });
        const words = `${span.trial ? `trial ${span.trial}: ` : ""}${MEANS[span.kind]}, ${Page.duration(span.ended - span.began)}`;
        const group = svg("g", { class: trial ? "mark work" : "", data: trial ? { trial: trial.number } : {} }, Page.hint(words), bar);
        if (trial && span.trial !== named && to - from > 8 + 7 * span.trial.length) {
          group.append(svg("text", { class: "inside", x: (from + 4).toFixed(1), y: y + 13 }, span.trial));
          named = span.trial;
        }
        chart.append(group);
      }
    });
    const axis = svg("g", { class: "grid" });
    for (const [at, words] of moments(timeline.seconds, Math.max(2, Math.floor(width / 100)))) {
      const anchor = at === 0 ? "start" : x(at) > right - 20 ? "end" : "middle";
      axis.append(svg("text", { x: x(at), y: height - 6, "text-anchor": anchor }, words));
    }
    chart.append(axis);
    const shares = KINDS.filter((kind) => timeline.shares[kind]).map((kind) => [
      el("span", { class: `swatch ${kind}`, "aria-hidden": "true" }),
      `${MEANS[kind]} ${Math.round(100 * timeline.shares[kind])} %`,
    ]);
    return el("div", {}, chart, el("p", { class: "legend" }, shares));
  };
}
