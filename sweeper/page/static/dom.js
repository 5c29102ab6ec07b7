"use strict";
/* Makes elements, and writes numbers. Text is only ever set as text: names and captions may hold anything. */
const Page = {};

{
  const SVG = "http://www.w3.org/2000/svg";

  const fill = (node, attributes, children) => {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "data") for (const [key, word] of Object.entries(value)) node.dataset[key] = word;
      else if (name === "css") for (const [key, word] of Object.entries(value)) node.style.setProperty(key, word);
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  };

  /** An element: `el("p", {class: "note"}, "text", other)`. */
  Page.el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

  /** The same of SVG. */
  Page.svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

  /** A measured number in few characters; a dash for none. */
  Page.number = (value, digits = 3) => {
    if (value === null || value === undefined) return "–";
    if (typeof value !== "number") return String(value);
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size < 0.001 || size >= 1e6) return value.toExponential(Math.max(0, digits - 2)).replace("e+", "e").replace(/\.0+e/, "e");
    return String(Number(value.toPrecision(digits)));
  };

  /** A score: one digit behind the point. */
  Page.score = (value) => (value === null || value === undefined ? "–" : value.toFixed(1));

  /** Seconds in words. */
  Page.duration = (seconds) => {
    if (seconds === null || seconds === undefined) return "–";
    if (seconds >= 5400) return `${(seconds / 3600).toFixed(1)} h`;
    return seconds >= 90 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds)} s`;
  };

  /** A parameter's value as people write it. */
  Page.value = (value) => (typeof value === "number" ? Page.number(value, 3) : String(value));
}
