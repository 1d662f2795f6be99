"use strict";
(() => {
  const read = id => JSON.parse(document.getElementById(id).textContent);
  const data = read("data"), colours = read("colours");
  const dashes = ["", "7 3", "2 3", "8 3 2 3"];
  const names = [...new Set([...data.arms.map(arm => arm.name), ...data.curves.map(curve => curve.arm)])];
  const armOf = new Map(data.arms.map(arm => [arm.name, arm]));
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const styleOf = arm => {
    const index = names.indexOf(arm), colour = colours[index % colours.length];
    return { colour: colour === "#000000" && dark ? "#FFFFFF" : colour, dash: dashes[Math.floor(index / colours.length) % dashes.length] };
  };
  const NS = "http://www.w3.org/2000/svg";
  const make = (kind, attributes, parent, text) => {
    const node = document.createElementNS(NS, kind);
    for (const [key, value] of Object.entries(attributes)) if (value !== "") node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  };
  const short = value => {
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size >= 1e15) return value.toExponential(1).replace("+", "");
    for (const [scale, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]])
      if (size >= scale) return +(value / scale).toPrecision(3) + unit;
    return size < 1e-3 ? value.toExponential(0) : String(+value.toPrecision(3));
  };

  /* Draw axes. Scales are {min, max, log}. Return the plot's group and the functions that map values to positions. */
  function frame(box, x, y, labels) {
    const narrow = box.clientWidth < 560;
    const width = narrow ? 480 : 960, height = narrow ? 400 : 460;
    const left = 82, right = width - 14, top = 12, bottom = height - 50;
    box.textContent = "";
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": labels.title }, box);
    const fraction = (value, scale) => scale.log
      ? (Math.log(value) - Math.log(scale.min)) / (Math.log(scale.max) - Math.log(scale.min))
      : (value - scale.min) / (scale.max - scale.min);
    const at = { x: value => left + (right - left) * fraction(value, x), y: value => bottom - (bottom - top) * fraction(value, y) };
    for (const tick of ticks(y, narrow ? 5 : 7)) {
      make("line", { x1: left, x2: right, y1: at.y(tick), y2: at.y(tick), class: "axis" }, svg);
      make("text", { x: left - 8, y: at.y(tick) + 5, "text-anchor": "end" }, svg, short(tick));
    }
    for (const tick of ticks(x, narrow ? 4 : 8)) {
      make("line", { x1: at.x(tick), x2: at.x(tick), y1: bottom, y2: bottom + 5, class: "axis" }, svg);
      make("text", { x: at.x(tick), y: bottom + 21, "text-anchor": "middle" }, svg, short(tick));
    }
    const middle = (top + bottom) / 2;
    make("text", { x: 16, y: middle, "text-anchor": "middle", transform: `rotate(-90 16 ${middle})` }, svg, labels.y);
    make("text", { x: (left + right) / 2, y: height - 6, "text-anchor": "middle" }, svg, labels.x);
    const clip = make("clipPath", { id: box.id + "-clip" }, svg);
    make("rect", { x: left, y: top, width: right - left, height: bottom - top }, clip);
    const plot = make("g", { "clip-path": `url(#${box.id}-clip)` }, svg);
    const value = position => {
      const part = (position - left) / (right - left);
      return x.log ? Math.exp(Math.log(x.min) + part * (Math.log(x.max) - Math.log(x.min))) : x.min + part * (x.max - x.min);
    };
    return { svg, plot, at, width, top, bottom, left, right, value };
  }

  function ticks(scale, about) {
    if (scale.log && scale.max / scale.min > 3) {
      const all = [];
      for (let power = Math.floor(Math.log10(scale.min)); power <= Math.log10(scale.max); power++)
        for (const digit of [1, 2, 3, 5]) all.push(digit * 10 ** power);
      let inside = all.filter(tick => tick >= scale.min && tick <= scale.max);
      if (inside.length > about) inside = inside.filter(tick => /^1(e|$)/.test(tick.toExponential().replace(/\.0+e/, "e")));
      if (inside.length >= 2) return inside;
    }
    const raw = (scale.max - scale.min) / about, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].map(digit => digit * power).find(size => size >= raw);
    const found = [];
    for (let tick = Math.ceil(scale.min / step) * step; tick <= scale.max + step / 1e6; tick += step) found.push(+tick.toPrecision(12));
    return found;
  }

  const line = (points, at) => points.map(([x, y], index) => `${index ? "L" : "M"}${at.x(x).toFixed(1)} ${at.y(y).toFixed(1)}`).join("");
  const mean = values => values.reduce((sum, value) => sum + value, 0) / values.length;

  /* ---- learning curves ---- */
  const chosen = { x: "tokens", scale: "log", at: "judged" };
  const hidden = new Set();
  const axisLabels = { tokens: "training tokens", steps: "training steps", seconds: "training time (seconds)", flops: "training FLOPs" };

  function groups() {
    const baseline = data.arms.find(arm => arm.is_baseline);
    const found = new Map();
    for (const curve of data.curves) {
      const arm = armOf.get(curve.arm);
      let wanted = curve.purpose === "run";
      if (arm && curve.purpose !== "search" && curve.purpose !== "run")
        wanted = curve.lr === (chosen.at === "judged" || !baseline ? arm.best_lr : baseline.best_lr);
      if (wanted) found.set(curve.arm, [...(found.get(curve.arm) || []), curve]);
    }
    return found;
  }

  /* Mean, lowest and highest loss at each evaluation that all runs of an arm have. */
  function summarize(curves) {
    const length = Math.min(...curves.map(curve => curve.loss.length)), points = [];
    for (let index = 0; index < length; index++) {
      const losses = curves.map(curve => curve.loss[index]).filter(loss => loss !== null);
      if (losses.length) points.push({
        x: mean(curves.map(curve => curve[chosen.x][index])),
        mean: mean(losses), low: Math.min(...losses), high: Math.max(...losses),
      });
    }
    return points;
  }

  function drawCurves() {
    const box = document.getElementById("curve-chart");
    if (!box) return;
    const all = groups(), shown = new Map();
    for (const [arm, curves] of all) if (!hidden.has(arm)) shown.set(arm, { curves, points: summarize(curves) });
    const points = [...shown.values()].flatMap(one => one.points);
    if (!points.length) { box.textContent = "No curves to show."; drawLegend(all); return; }
    const later = [...shown.values()].flatMap(one => one.points.slice(1));
    const used = later.length ? later : points;
    const low = Math.min(...used.map(point => point.low)), high = Math.max(...used.map(point => point.mean));
    const reach = Math.max(...points.map(point => point.x)) || 1;
    const margin = chosen.scale === "log" ? [low / 1.02, high * 1.03] : [low - .03 * (high - low), high + .05 * (high - low)];
    const labels = { x: axisLabels[chosen.x], y: `validation loss (${data.unit})`, title: `validation loss against ${axisLabels[chosen.x]}` };
    const drawn = frame(box, { min: 0, max: reach * 1.01 }, { min: margin[0], max: Math.max(margin[1], margin[0] * 1.001), log: chosen.scale === "log" }, labels);
    for (const [arm, { curves, points }] of shown) {
      const style = styleOf(arm), group = make("g", { "data-arm": arm }, drawn.plot);
      const band = [...points.map(point => [point.x, point.high]), ...points.slice().reverse().map(point => [point.x, point.low])];
      make("path", { d: line(band, drawn.at) + "Z", fill: style.colour, opacity: .13 }, group);
      for (const curve of curves) {
        const points = curve.loss.map((loss, index) => [curve[chosen.x][index], loss]).filter(([, loss]) => loss !== null);
        make("path", { d: line(points, drawn.at), fill: "none", stroke: style.colour, "stroke-width": .7, opacity: .35 }, group);
      }
      make("path", { d: line(points.map(point => [point.x, point.mean]), drawn.at), fill: "none", stroke: style.colour, "stroke-width": 2.4, "stroke-dasharray": style.dash, class: "mean" }, group);
    }
    addReadout(drawn, "curve-readout", x => [...shown].map(([arm, { points }]) => {
      const near = points.reduce((best, point) => Math.abs(point.x - x) < Math.abs(best.x - x) ? point : best);
      return [near.mean, `${arm} ${near.mean.toFixed(4)}`];
    }), x => `${axisLabels[chosen.x]} ${short(x)}`);
    drawLegend(all);
  }

  function addReadout(drawn, id, read, where) {
    const out = document.getElementById(id);
    const guide = make("line", { class: "guide", y1: drawn.top, y2: drawn.bottom, visibility: "hidden" }, drawn.svg);
    drawn.svg.addEventListener("pointermove", event => {
      const box = drawn.svg.getBoundingClientRect();
      const position = (event.clientX - box.left) * drawn.width / box.width;
      if (position < drawn.left || position > drawn.right) return;
      guide.setAttribute("x1", position); guide.setAttribute("x2", position); guide.setAttribute("visibility", "visible");
      const x = drawn.value(position);
      out.textContent = `${where(x)}: ` + read(x).sort((a, b) => a[0] - b[0]).map(([, text]) => text).join(", ");
    });
    drawn.svg.addEventListener("pointerleave", () => guide.setAttribute("visibility", "hidden"));
  }

  function drawLegend(all) {
    const box = document.getElementById("curve-legend");
    const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.arm : undefined;
    box.textContent = "";
    for (const arm of all.keys()) {
      const label = document.createElement("label"), tick = document.createElement("input"), style = styleOf(arm);
      tick.type = "checkbox"; tick.checked = !hidden.has(arm); tick.dataset.arm = arm;
      tick.addEventListener("change", () => { tick.checked ? hidden.delete(arm) : hidden.add(arm); drawCurves(); });
      const swatch = make("svg", { width: 30, height: 10, "aria-hidden": "true" });
      make("line", { x1: 1, x2: 29, y1: 5, y2: 5, stroke: style.colour, "stroke-width": 3, "stroke-dasharray": style.dash }, swatch);
      label.append(tick, swatch, arm);
      box.append(label);
      if (arm === focused) tick.focus();
    }
  }

  /* ---- loss against learning rate ---- */
  function drawRates() {
    const box = document.getElementById("rate-chart");
    if (!box) return;
    const byArm = new Map();
    for (const row of data.rates) {
      if (row.purpose !== "search" && data.rates.some(other => other.purpose === "search")) continue;
      const rates = byArm.get(row.arm) || new Map();
      rates.set(row.lr, [...(rates.get(row.lr) || []), row.loss]);
      byArm.set(row.arm, rates);
    }
    const lines = new Map(), diverged = [];
    for (const [arm, rates] of byArm) {
      const points = [];
      for (const [rate, losses] of [...rates].sort((a, b) => a[0] - b[0])) {
        const known = losses.filter(loss => loss !== null);
        if (known.length) points.push([rate, mean(known)]); else diverged.push([arm, rate]);
      }
      lines.set(arm, points);
    }
    const losses = [...lines.values()].flat().map(point => point[1]).sort((a, b) => a - b);
    if (!losses.length) { box.textContent = "No run has finished yet."; return; }
    const rates = data.rates.map(row => row.lr), low = losses[0];
    const top = Math.min(losses[losses.length - 1], low + Math.max(6 * (losses[Math.floor(losses.length / 2)] - low), .05));
    const span = Math.max(top - low, 1e-3);
    const drawn = frame(box, { min: Math.min(...rates) / 1.2, max: Math.max(...rates) * 1.2, log: true },
      { min: low - .06 * span, max: top + .08 * span }, { x: "peak learning rate", y: `final loss (${data.unit})`, title: "final loss against learning rate" });
    for (const arm of data.arms) if (arm.edge && arm.edge[0] && arm.edge[1]) {
      const position = drawn.at.x(Math.sqrt(arm.edge[0] * arm.edge[1]));
      make("line", { x1: position, x2: position, y1: drawn.top, y2: drawn.bottom, stroke: styleOf(arm.name).colour, "stroke-dasharray": "5 4", opacity: .7, class: "edge" }, drawn.plot);
    }
    for (const [arm, points] of lines) {
      const style = styleOf(arm), settings = armOf.get(arm);
      make("path", { d: line(points, drawn.at), fill: "none", stroke: style.colour, "stroke-width": 2, "stroke-dasharray": style.dash }, drawn.plot);
      for (const [rate, loss] of points) make("circle", { cx: drawn.at.x(rate), cy: drawn.at.y(loss), r: 3.5, fill: style.colour }, drawn.plot);
      if (settings && settings.best_lr && points.length) {
        const near = points.reduce((best, point) => Math.abs(Math.log(point[0] / settings.best_lr)) < Math.abs(Math.log(best[0] / settings.best_lr)) ? point : best);
        make("circle", { cx: drawn.at.x(settings.best_lr), cy: drawn.at.y(near[1]), r: 8, fill: "none", stroke: style.colour, "stroke-width": 2 }, drawn.plot);
      }
    }
    for (const [arm, rate] of diverged) {
      const x = drawn.at.x(rate), y = drawn.top + 8, size = 5;
      make("path", { d: `M${x - size} ${y - size}L${x + size} ${y + size}M${x - size} ${y + size}L${x + size} ${y - size}`, stroke: styleOf(arm).colour, "stroke-width": 2.5, class: "diverged" }, drawn.plot);
    }
    addReadout(drawn, "rate-readout", x => [...lines].filter(([, points]) => points.length).map(([arm, points]) => {
      const near = points.reduce((best, point) => Math.abs(Math.log(point[0] / x)) < Math.abs(Math.log(best[0] / x)) ? point : best);
      return [near[1], `${arm} ${near[1].toFixed(4)} at ${short(near[0])}`];
    }), x => `lr ${short(x)}`);
  }

  /* ---- samples ---- */
  function drawSamples() {
    const select = document.getElementById("prompt"), list = document.getElementById("sample-list");
    if (!select) return;
    for (const prompt of new Set(data.samples.map(sample => sample.prompt))) select.append(new Option(prompt || "(none)", prompt));
    const show = () => {
      list.textContent = "";
      for (const sample of data.samples.filter(sample => sample.prompt === select.value)) {
        const card = document.createElement("article"), title = document.createElement("h3"), loss = document.createElement("small");
        const text = document.createElement("p"), start = document.createElement("span");
        card.className = "sample"; start.className = "prompt"; text.tabIndex = 0;
        loss.textContent = sample.loss === null ? "" : `loss ${sample.loss.toFixed(3)}`;
        title.append(sample.arm, loss); start.textContent = sample.prompt;
        text.append(start, sample.text); card.append(title, text); list.append(card);
      }
    };
    select.addEventListener("change", show);
    show();
  }

  for (const group of document.querySelectorAll("fieldset[data-switch]"))
    group.addEventListener("change", event => { chosen[group.dataset.switch] = event.target.value; drawCurves(); });
  for (const button of document.querySelectorAll("button.copy"))
    button.addEventListener("click", async () => {
      const code = button.previousElementSibling;
      try { await navigator.clipboard.writeText(code.textContent); button.textContent = "copied"; }
      catch { getSelection().selectAllChildren(code); button.textContent = "selected"; }
      setTimeout(() => { button.textContent = "copy"; }, 1500);
    });
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawCurves(); drawRates(); } });
  drawCurves(); drawRates(); drawSamples();
})();
