"use strict";
/* From values to places and colours. */
{
  const nice = (low, high, count) => {
    const step = (high - low) / Math.max(1, count);
    const power = 10 ** Math.floor(Math.log10(step));
    const factor = [1, 2, 5, 10].find((each) => each * power >= step) || 10;
    const size = factor * power;
    const ticks = [];
    for (let at = Math.ceil(low / size - 1e-9) * size; at <= high + size * 1e-9; at += size) ticks.push(Number(at.toPrecision(12)));
    return ticks;
  };

  /** Numbers from `domain` to `range`, evenly or, with `log`, in the logarithm. */
  Page.scale = (domain, range, log = false) => {
    let [low, high] = domain;
    if (!(high > low)) [low, high] = log ? [low / 2, low * 2] : [low - 0.5, high + 0.5];
    const of = log ? Math.log10 : (value) => value;
    const place = (value) => range[0] + ((of(value) - of(low)) / (of(high) - of(low))) * (range[1] - range[0]);
    place.ticks = (count) => {
      if (!log) return nice(low, high, count);
      const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
      if (last - first < 1) return nice(low, high, count).filter((each) => each > 0);
      const every = Math.max(1, Math.ceil((last - first + 1) / count));
      const ticks = [];
      for (let power = first; power <= last; power += every) ticks.push(Number(`1e${power}`));
      return ticks;
    };
    place.domain = [low, high];
    return place;
  };

  /** Places for words, each in the middle of its share of `range`. */
  Page.bands = (values, range) => {
    const words = values.map(String);
    const share = (range[1] - range[0]) / Math.max(1, words.length);
    const place = (value) => range[0] + share * (Math.max(0, words.indexOf(String(value))) + 0.5);
    place.words = words;
    return place;
  };

  /** An axis for a hyperparameter over the trials that have it. */
  Page.axisOf = (param, trials, range) => {
    if (param.kind === "choice") return Page.bands(param.values, range);
    const values = trials.map((trial) => trial.params[param.name]).filter((value) => typeof value === "number");
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return Page.scale([low, high], range, param.log);
  };

  /** What is written at a hyperparameter's axis: its words, the values of a choice of numbers, or ticks. */
  Page.ticksOf = (param, axis, count) => {
    if (axis.words) return axis.words;
    const values = (param.values || []).filter((value) => value >= axis.domain[0] && value <= axis.domain[1]);
    return values.length ? values : axis.ticks(count);
  };

  /** Those of ticks that stand at least so many pixels apart. */
  Page.spaced = (ticks, place, least) => {
    let last = -Infinity;
    return ticks.filter((tick) => {
      const at = place(tick);
      if (Math.abs(at - last) < least) return false;
      last = at;
      return true;
    });
  };

  /** The least and the largest of values, with a little air. */
  Page.extent = (values, log = false) => {
    const known = values.filter((value) => typeof value === "number" && (!log || value > 0));
    if (!known.length) return log ? [0.1, 1] : [0, 1];
    const low = known.reduce((one, other) => Math.min(one, other));
    const high = known.reduce((one, other) => Math.max(one, other));
    if (log) return [low, high];
    const air = (high - low) * 0.04;
    return [low - air, high + air];
  };

  /** Where a trial's score lies among all, 0 to 1: the place on the ramp of colours. */
  Page.rankShare = () => {
    const { store } = Page;
    const ranking = store.ranking().filter((trial) => store.scoreOf(trial) !== null);
    const places = new Map(ranking.map((trial, place) => [trial.number, 1 - place / Math.max(1, ranking.length - 1)]));
    return (trial) => (places.has(trial.number) ? places.get(trial.number) : 0);
  };

  /** A class for one of eight shades: `shade0` the worst, `shade7` the best. */
  Page.shade = (share) => `shade${Math.min(7, Math.floor(share * 8))}`;
}
