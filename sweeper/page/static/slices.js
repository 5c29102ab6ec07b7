"use strict";
/* The score over one hyperparameter each, and over two at once. */
{
  const { svg, el, store } = Page;
  const CELLS = 22;
  const WIDTH_OF_KERNEL = 0.14;
  const choice = { x: null, y: null };

  const scoredTrials = () => store.study.trials.filter((trial) => store.scoreOf(trial) !== null && !trial.is_rerun);

  const dot = (trial, x, y, share) =>
    svg(
      "circle",
      {
        class: `mark point ${Page.shade(share(trial))}${store.isWinner(trial) ? " winner" : ""}`,
        data: { trial: trial.number },
        cx: x.toFixed(1),
        cy: y.toFixed(1),
        r: 4,
      },
      Page.hint(Page.trialWords(trial)),
    );

  const words = (axis, y, body) => {
    const room = axis.words.length > 1 ? Math.abs(axis(axis.words[1]) - axis(axis.words[0])) : 200;
    for (const word of axis.words) body.append(svg("text", { class: "band", x: axis(word), y, "text-anchor": "middle" }, Page.hint(word), Page.cut(word, room - 4)));
  };

  const slice = (param, width, share, scores) => {
    const trials = scoredTrials().filter((trial) => trial.params[param.name] !== undefined && trial.params[param.name] !== null);
    const isChoice = param.kind === "choice";
    const numbers = trials.map((trial) => trial.params[param.name]);
    const domain = isChoice ? [0, 1] : [Math.min(...numbers), Math.max(...numbers)];
    const frame = Page.frame({
      width,
      height: 180,
      title: param.name,
      note: param.log ? "log" : "",
      words: `score by ${param.name} of ${trials.length} trials`,
      x: { domain, log: param.log },
      y: { domain: Page.extent(scores) },
      xTicks: isChoice ? [] : param.values.length ? param.values.filter((value) => value >= domain[0] && value <= domain[1]) : null,
    });
    const [from, to] = [frame.left + 8, frame.right - 8];
    const axis = Page.axisOf(param, trials, [from, to]);
    if (isChoice) words(axis, frame.bottom + 16, frame.body);
    for (const trial of trials) {
      const spread = isChoice ? ((trial.number * 37) % 11) - 5 : 0;
      const x = isChoice ? axis(trial.params[param.name]) + spread : frame.x(trial.params[param.name]);
      frame.body.append(dot(trial, x, frame.y(store.scoreOf(trial)), share));
    }
    return frame.node;
  };

  /** A chart for each hyperparameter. */
  Page.slices = (width) => {
    const trials = scoredTrials();
    const shown = store.study.params.filter((param) => trials.some((trial) => trial.params[param.name] !== undefined));
    if (!shown.length) return el("p", { class: "empty" }, "nothing yet");
    const columns = Math.max(1, Math.min(shown.length, Math.floor((width + 16) / 230)));
    const each = Math.floor((width - 16 * (columns - 1)) / columns);
    const share = Page.rankShare();
    return el("div", { class: "charts" }, shown.map((param) => slice(param, each, share, trials.map(store.scoreOf))));
  };

  const smoothed = (points, x, y) => {
    let weights = 0;
    let sum = 0;
    for (const point of points) {
      const distance = ((point.x - x) ** 2 + (point.y - y) ** 2) / (2 * WIDTH_OF_KERNEL ** 2);
      const weight = Math.exp(-distance);
      weights += weight;
      sum += weight * point.score;
    }
    return { value: weights ? sum / weights : 0, near: Math.min(1, weights) };
  };

  const surface = (width, height, px, py) => {
    const trials = scoredTrials().filter((trial) => [px, py].every((param) => trial.params[param.name] !== undefined));
    const frame = { left: 90, right: width - 12, top: 12, bottom: height - 40 };
    const share = Page.rankShare();
    const axisX = Page.axisOf(px, trials, px.kind === "choice" ? [frame.left, frame.right] : [frame.left + 14, frame.right - 14]);
    const axisY = Page.axisOf(py, trials, py.kind === "choice" ? [frame.bottom, frame.top] : [frame.bottom - 14, frame.top + 14]);
    const [low, high] = Page.extent(trials.map(store.scoreOf));
    const points = trials.map((trial) => ({
      trial,
      x: (axisX(trial.params[px.name]) - frame.left) / (frame.right - frame.left),
      y: (axisY(trial.params[py.name]) - frame.top) / (frame.bottom - frame.top),
      score: store.scoreOf(trial),
    }));
    const cells = svg("g", { "shape-rendering": "crispEdges" }); // whose seams would show
    const [cw, ch] = [(frame.right - frame.left) / CELLS, (frame.bottom - frame.top) / CELLS];
    for (let column = 0; column < CELLS; column += 1)
      for (let row = 0; row < CELLS; row += 1) {
        const { value, near } = smoothed(points, (column + 0.5) / CELLS, (row + 0.5) / CELLS);
        if (near < 0.06) continue;
        const shade = Page.shade(Math.max(0, Math.min(0.999, (value - low) / (high - low || 1))));
        cells.append(svg("rect", { class: shade, x: (frame.left + column * cw).toFixed(1), y: (frame.top + row * ch).toFixed(1), width: cw.toFixed(1), height: ch.toFixed(1), "fill-opacity": (0.75 * near).toFixed(2) }));
      }
    const grid = svg("g", { class: "grid" }, svg("rect", { class: "axis", x: frame.left, y: frame.top, width: frame.right - frame.left, height: frame.bottom - frame.top, fill: "none" }));
    const roomX = axisX.words ? (frame.right - frame.left) / axisX.words.length - 4 : 80;
    for (const word of Page.spaced(Page.ticksOf(px, axisX, 5), axisX, 40)) grid.append(svg("text", { x: axisX(word), y: frame.bottom + 16, "text-anchor": "middle" }, Page.cut(Page.value(word), roomX)));
    for (const word of Page.spaced(Page.ticksOf(py, axisY, 5), axisY, 14)) grid.append(svg("text", { x: frame.left - 8, y: axisY(word) + 4, "text-anchor": "end" }, Page.cut(Page.value(word), 78)));
    grid.append(svg("text", { class: "title", x: (frame.left + frame.right) / 2, y: height - 6, "text-anchor": "middle" }, px.name));
    const dots = points.map((point) => dot(point.trial, frame.left + point.x * (frame.right - frame.left), frame.top + point.y * (frame.bottom - frame.top), share));
    const label = `score over ${px.name} and ${py.name}, ${points.length} trials`;
    return svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, cells, grid, svg("g", {}, dots));
  };

  /** The score over two hyperparameters that are chosen above it. */
  Page.contour = (width, redraw) => {
    const trials = scoredTrials();
    const shown = store.study.params.filter((param) => trials.some((trial) => trial.params[param.name] !== undefined));
    if (shown.length < 2) return el("p", { class: "empty" }, "two hyperparameters are wanted");
    const has = (trial, param) => trial.params[param.name] !== undefined && trial.params[param.name] !== null;
    const together = (one, other) => trials.filter((trial) => has(trial, one) && has(trial, other)).length;
    const first = [...shown].sort((one, other) => together(other, other) - together(one, one) || (one.kind === "choice") - (other.kind === "choice"));
    const named = (name, otherwise) => shown.find((param) => param.name === name) || otherwise;
    const px = named(choice.x, first[0]);
    const py = named(choice.y, first.find((param) => param !== px));
    const pick = (key, current) =>
      el(
        "select",
        { "aria-label": key === "x" ? "across" : "upward", data: { focus: `contour-${key}` }, onchange: (event) => { choice[key] = event.target.value; redraw(); } },
        shown.map((param) => el("option", { value: param.name, selected: param === current }, param.name)),
      );
    return el(
      "div",
      {},
      el("p", { class: "tools" }, pick("y", py), " over ", pick("x", px)),
      px === py ? el("p", { class: "empty" }, "choose two that differ") : surface(width, 300, px, py),
      el("p", { class: "note" }, "Smoothed by a Gaussian kernel; faint where no trial is near. Dots are trials."),
    );
  };
}
