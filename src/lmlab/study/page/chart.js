"use strict";
/* What all charts share: styles, axes, ticks, and reading values with the pointer or the keyboard. */
const read = id => JSON.parse(document.getElementById(id).textContent);
const data = read("data"), styles = read("styles");
const names = [...new Set([...data.arms.map(arm => arm.name), ...data.curves.map(curve => curve.arm)])];
const armOf = new Map(data.arms.map(arm => [arm.name, arm]));

/* The colours are variables of the style sheet, so that charts follow the theme, also when it changes. */
function styleOf(arm) {
  const index = Math.max(0, names.indexOf(arm));
  return {
    colour: `var(--c${index % styles.colours})`,
    dash: styles.dashes[index % styles.dashes.length],
    marker: styles.markers[index % styles.markers.length],
  };
}

const NS = "http://www.w3.org/2000/svg";
function make(kind, attributes, parent, text) {
  const node = document.createElementNS(NS, kind);
  for (const [key, value] of Object.entries(attributes)) if (value !== "") node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

const stroke = colour => `fill:none;stroke:${colour}`;
const mean = values => values.reduce((sum, value) => sum + value, 0) / values.length;
const sd = values => Math.sqrt(values.reduce((sum, value) => sum + (value - mean(values)) ** 2, 0) / (values.length - 1));

const cut = (text, length) => text.length > length ? `${text.slice(0, length - 1)}…` : text;

function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e15) return value.toExponential(1).replace("+", "");
  for (const [scale, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (size >= scale) return +(value / scale).toPrecision(4) + unit;
  return size < 1e-3 ? value.toExponential(0) : String(+value.toPrecision(4));
}

/* The markers of matplotlib's names, around (x, y). */
function drawMarker(kind, x, y, size, colour, parent, open) {
  const style = open ? `fill:var(--paper);stroke:${colour};stroke-width:1.5` : `fill:${colour}`;
  if (kind === "o") return make("circle", { cx: x, cy: y, r: size, style }, parent);
  const regular = (count, turn, inner) => {
    const points = [];
    for (let index = 0; index < count; index++) {
      const angle = turn + 2 * Math.PI * index / count, radius = size * 1.25 * (inner && index % 2 ? inner : 1);
      points.push([x + radius * Math.sin(angle), y - radius * Math.cos(angle)]);
    }
    return points;
  };
  const shapes = {
    s: () => regular(4, Math.PI / 4), D: () => regular(4, 0), "^": () => regular(3, 0), v: () => regular(3, Math.PI),
    ">": () => regular(3, Math.PI / 2), "<": () => regular(3, -Math.PI / 2), p: () => regular(5, 0),
    h: () => regular(6, 0), "*": () => regular(10, 0, .45),
    P: () => [[-.4, -1], [.4, -1], [.4, -.4], [1, -.4], [1, .4], [.4, .4], [.4, 1], [-.4, 1], [-.4, .4], [-1, .4], [-1, -.4], [-.4, -.4]]
      .map(([dx, dy]) => [x + size * dx, y + size * dy]),
  };
  const points = (shapes[kind] || shapes.s)().map(point => point.map(number => number.toFixed(1)).join(" "));
  return make("path", { d: `M${points.join("L")}Z`, style }, parent);
}

function drawCross(x, y, size, colour, parent) {
  return make("path", {
    d: `M${x - size} ${y - size}L${x + size} ${y + size}M${x - size} ${y + size}L${x + size} ${y - size}`,
    style: `${stroke(colour)};stroke-width:2.5`, class: "diverged",
  }, parent);
}

/* The line and the marker of an arm, for a legend. */
function swatchOf(style) {
  const swatch = make("svg", { width: 44, height: 12, "aria-hidden": "true" });
  make("line", { x1: 1, x2: 43, y1: 6, y2: 6, style: `${stroke(style.colour)};stroke-width:2.4`, "stroke-dasharray": style.dash }, swatch);
  drawMarker(style.marker, 22, 6, 4.5, style.colour, swatch);
  return swatch;
}

const forward = scale => value => scale.log ? Math.log(value) : scale.width ? Math.asinh((value - scale.origin) / scale.width) : value;

/* Axes are {min, max, log} or {min, max, origin, width, ticks}; the latter is linear near its origin and logarithmic
   far from it. Return the plot's group and the functions that map values to positions. */
function frame(box, x, y, labels, extra = 0) {
  const narrow = box.clientWidth < 560;
  const width = narrow ? 480 : 960, height = (narrow ? 400 : 460) + extra;
  const left = Math.max(86, Math.min(labels.left || 0, .4 * width)), right = width - 14, top = 12, bottom = height - 50 - extra;
  box.textContent = "";
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0, "aria-label": `${labels.title}. Use the arrow keys to read values.` }, box);
  const fraction = (value, scale) => {
    const place = forward(scale);
    return (place(value) - place(scale.min)) / (place(scale.max) - place(scale.min));
  };
  const at = { x: value => left + (right - left) * fraction(value, x), y: value => bottom - (bottom - top) * fraction(value, y) };
  for (const tick of y.ticks || ticks(y, narrow ? 5 : 7)) {
    make("line", { x1: left, x2: right, y1: at.y(tick), y2: at.y(tick), class: tick === 0 && y.signed ? "axis zero" : "axis" }, svg);
    make("text", { x: left - 8, y: at.y(tick) + 5, "text-anchor": "end" }, svg, (y.signed && tick > 0 ? "+" : "") + short(tick));
  }
  for (const tick of ticks(x, narrow ? 4 : 8)) {
    make("line", { x1: at.x(tick), x2: at.x(tick), y1: height - 50, y2: height - 45, class: "axis" }, svg);
    make("text", { x: at.x(tick), y: height - 29, "text-anchor": "middle" }, svg, short(tick));
  }
  const middle = (top + bottom) / 2;
  const label = make("text", { y: middle, "text-anchor": "middle", transform: `rotate(-90 15 ${middle})` }, svg);
  labels.y.split("\n").forEach((text, index) => make("tspan", { x: 15, dy: 18 * index }, label, index ? ` ${text}` : text));
  make("text", { x: (left + right) / 2, y: height - 6, "text-anchor": "middle" }, svg, labels.x);
  const clip = make("clipPath", { id: box.id + "-clip" }, svg);
  make("rect", { x: left, y: top - 6, width: right - left, height: bottom - top + 12 }, clip);
  const plot = make("g", { "clip-path": `url(#${box.id}-clip)` }, svg);
  const value = position => {
    const part = (position - left) / (right - left);
    return x.log ? Math.exp(Math.log(x.min) + part * (Math.log(x.max) - Math.log(x.min))) : x.min + part * (x.max - x.min);
  };
  return { svg, plot, at, width, top, bottom, left, right, value, height };
}

/* Round values on any scale, coarse steps first, none closer than a fraction of its length. The scale is finest at
   `finest`. */
function roundTicks(place, finest, { min, max }, gap) {
  const length = place(max) - place(min), found = min <= 0 && max >= 0 ? [0] : [], near = 100;
  for (let power = 12; power >= -12; power--) for (const digit of [5, 2, 1]) {
    const step = digit * 10 ** power, middle = Math.round(finest / step);
    if (place(finest + step) - place(finest) < gap * length) return found.sort((a, b) => a - b);
    for (let count = Math.max(Math.ceil(min / step), middle - near); count <= Math.min(max / step, middle + near); count++) {
      const tick = +(count * step).toPrecision(12);
      if (min > 0 && tick <= 0) continue;
      if (found.every(other => Math.abs(place(tick) - place(other)) >= gap * length)) found.push(tick);
    }
  }
  return found.sort((a, b) => a - b);
}

function ticks(scale, about) {
  if (scale.log) return roundTicks(Math.log, scale.min, scale, .6 / about);
  if (scale.width) return roundTicks(forward(scale), scale.origin, scale, .6 / about);
  const raw = (scale.max - scale.min) / about, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map(digit => digit * power).find(size => size >= raw);
  const found = [];
  for (let tick = Math.ceil(scale.min / step) * step; tick <= scale.max + step / 1e6; tick += step) found.push(+tick.toPrecision(12));
  return found;
}

const line = (points, at) => points.map(([x, y], index) => `${index ? "L" : "M"}${at.x(x).toFixed(1)} ${at.y(y).toFixed(1)}`).join("");

/* Show the values at the pointer; the arrow keys go through the values of the x axis in `stops`. */
function addReadout(drawn, id, read, where, stops) {
  const out = document.getElementById(id);
  const guide = make("line", { class: "guide", y1: drawn.top, y2: drawn.bottom, visibility: "hidden" }, drawn.svg);
  const places = [...new Set(stops)].sort((a, b) => a - b);
  let current = -1;
  const show = (x, position) => {
    guide.setAttribute("x1", position); guide.setAttribute("x2", position); guide.setAttribute("visibility", "visible");
    out.textContent = `${where(x)}: ${read(x).join(", ")}`;
  };
  const follow = event => {
    const box = drawn.svg.getBoundingClientRect();
    const position = (event.clientX - box.left) * drawn.width / box.width;
    if (position >= drawn.left && position <= drawn.right) show(drawn.value(position), position);
  };
  drawn.svg.addEventListener("pointermove", follow);
  drawn.svg.addEventListener("pointerdown", follow);
  drawn.svg.addEventListener("pointerleave", () => guide.setAttribute("visibility", "hidden"));
  drawn.svg.addEventListener("keydown", event => {
    const next = { ArrowRight: current + 1, ArrowLeft: current < 0 ? places.length - 1 : current - 1, Home: 0, End: places.length - 1 }[event.key];
    if (next === undefined || !places.length) return;
    event.preventDefault();
    current = Math.max(0, Math.min(places.length - 1, next));
    show(places[current], drawn.at.x(places[current]));
  });
}

const nearest = (points, x, distance) => points.reduce((best, point) => distance(point, x) < distance(best, x) ? point : best);
