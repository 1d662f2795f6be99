/* Learning curves: one line per arm, its seeds, and several quantities. */
const rungs = [...new Set(data.curves.map(curve => curve.rung))];  /* of a ladder, from the lowest */
const chosen = { view: "loss", x: "tokens", scale: "log", at: "judged", rung: rungs[rungs.length - 1] };
const hidden = new Set();
const axisLabels = { tokens: "training tokens", steps: "training steps", seconds: "training time (seconds)", flops: "training FLOPs" };
const baseline = data.arms.find(arm => arm.is_baseline) || data.arms[0];
const views = {
  loss: { label: `validation loss (${data.unit})` },
  difference: { label: `difference from ${cut(baseline ? baseline.name : "the first arm", 20)} (${data.unit})` },
  train_loss: { label: "training loss (nats per token)", key: "loss" },
  grad_norm: { label: "gradient norm before clipping", key: "grad_norm" },
  throughput: { label: "throughput (tokens per second)", key: "tokens_per_second" },
};
const trainOf = new Map(data.train_curves.map(train => [data.curves[train.curve], train]));
const MAX_DOTS = 40, MAX_MARKERS = 8, FEW = 5;

/* The runs of each arm that the chart shows, in the order of the arms. */
function groups() {
  const found = new Map(names.map(name => [name, []]));
  for (const curve of data.curves) {
    const arm = armOf.get(curve.arm);
    let wanted = curve.purpose === "run";
    if (curve.rung) wanted = curve.rung === chosen.rung;
    else if (arm && curve.purpose !== "search" && curve.purpose !== "run")
      wanted = curve.lr === (chosen.at === "judged" || !baseline ? arm.best_lr : baseline.best_lr);
    if (wanted) found.get(curve.arm).push(curve);
  }
  return new Map([...found].filter(([, curves]) => curves.length));
}

function interpolate(points, x) {
  for (let index = 1; index < points.length; index++) {
    const [[before, low], [after, high]] = [points[index - 1], points[index]];
    if (before <= x && x <= after) return after === before ? low : low + (high - low) * (x - before) / (after - before);
  }
  return null;
}

const lossPoints = curve => curve.loss.map((loss, index) => [curve[chosen.x][index], loss]);
const known = points => points.filter(([, value]) => value !== null && !(isLog() && value <= 0));
const hasLog = () => chosen.view !== "difference" && chosen.view !== "throughput";
const isLog = () => chosen.scale === "log" && hasLog();

/* The points [x, value] of one run in the chosen view; a value may be null. */
function pointsOf(curve, all) {
  const view = views[chosen.view];
  if (view.key) {
    const train = trainOf.get(curve);
    if (!train || !train[view.key]) return [];
    const ratio = curve.steps.length && curve.tokens[curve.tokens.length - 1] ? curve.flops[curve.flops.length - 1] / curve.tokens[curve.tokens.length - 1] : 0;
    return train[view.key].map((value, index) => [chosen.x === "flops" ? ratio * train.tokens[index] : train[chosen.x][index], value]);
  }
  if (chosen.view !== "difference") return lossPoints(curve);
  const own = all.get(curve.arm), reference = all.get(baseline.name) || [];
  /* From the run with the same seed; a replicate shares no seeds, so from the mean of as many runs. */
  const isPaired = own.some(one => reference.some(other => other.seed === one.seed));
  const others = isPaired ? reference.filter(other => other.seed === curve.seed) : reference.slice(0, own.length);
  if (!others.length) return [];
  const points = summarize(others.map(other => ({ points: lossPoints(other) })));
  return lossPoints(curve).map(([x, loss]) => {
    const other = loss === null ? null : interpolate(points, x);
    return [x, other === null ? null : loss - other];
  });
}

/* The mean at each position that all runs of an arm have. A mean of the runs that are left says little. */
function summarize(runs) {
  const length = Math.min(...runs.map(run => run.points.length)), found = [];
  for (let index = 0; index < length; index++) {
    const points = runs.map(run => run.points[index]);
    if (points.every(([, value]) => value !== null))
      found.push([mean(points.map(point => point[0])), mean(points.map(point => point[1]))]);
  }
  return known(found);
}

/* The range of the values. Where there are many, the first evaluation, before training, would take most of it, and so
   would a run that diverges; such a curve leaves the chart at the top. */
function valueAxis(shown) {
  const isDifference = chosen.view === "difference";
  const later = runs => runs.map(run => known(run.points)).flatMap(points => points.length > FEW ? points.slice(1) : points).map(point => point[1]);
  const lasting = [...shown.values()].map(one => later(one.runs.filter(run => run.curve.status !== "diverged"))).filter(values => values.length);
  const groups = lasting.length ? lasting : [...shown.values()].map(one => later(one.runs)).filter(values => values.length);
  const values = groups.flat(), low = Math.min(...values, isDifference ? 0 : Infinity), high = Math.max(...values, isDifference ? 0 : -Infinity);
  const span = high - low || Math.abs(high) * 1e-3 || 1e-3;
  if (isLog()) {
    const factor = 1 + .1 * Math.min(1, span / low);
    return { min: low / factor, max: high * factor, log: true };
  }
  if (chosen.view === "throughput") return { min: 0, max: high * 1.05 };
  const axis = { min: low - .05 * span, max: high + .05 * span, signed: isDifference };
  if (!isDifference) return axis;
  /* A few large differences must not flatten all others. */
  const sizes = groups.map(values => Math.max(...values.map(Math.abs))).filter(size => size > 0).sort((a, b) => a - b);
  const small = Math.max(sizes[Math.floor(.3 * (sizes.length - 1))] || 0, (data.margin || 0) / 2);
  return sizes.length && sizes[sizes.length - 1] > 10 * small ? { ...axis, min: low - .2 * small, origin: 0, width: small } : axis;
}

function drawCurves() {
  const box = document.getElementById("curve-chart");
  if (!box) return;
  document.querySelector("fieldset[data-switch=scale]").disabled = !hasLog();
  /* At one wall time runs of unequal speed have done unequal work, so their difference means nothing. */
  const seconds = document.querySelector("input[name=x][value=seconds]");
  seconds.disabled = chosen.view === "difference";
  if (seconds.disabled && chosen.x === "seconds") {
    chosen.x = "tokens";
    document.querySelector("input[name=x][value=tokens]").checked = true;
  }
  const all = groups(), shown = new Map();
  for (const [arm, curves] of all) {
    if (hidden.has(arm)) continue;
    const runs = curves.map(curve => ({ curve, points: pointsOf(curve, all) })).filter(run => run.points.length);
    if (runs.length) shown.set(arm, { runs, points: summarize(runs) });
  }
  drawLegend(all);
  const runs = [...shown.values()].flatMap(one => one.runs.map(run => known(run.points))).filter(points => points.length);
  if (!runs.length) { box.textContent = "No curves to show."; return; }
  const y = valueAxis(shown), view = views[chosen.view];
  const reach = Math.max(...runs.flat().map(point => point[0])) || 1;
  const yLabel = y.width ? `${view.label}\nlinear near zero, logarithmic beyond` : view.label;
  const drawn = frame(box, { min: 0, max: reach * 1.01 }, y, { x: axisLabels[chosen.x], y: yLabel, title: `${view.label} against ${axisLabels[chosen.x]}` });
  for (const [arm, one] of shown) drawArm(arm, one, drawn);
  const distance = (point, x) => Math.abs(point[0] - x);
  const texts = x => [...shown].filter(([, one]) => one.points.length).map(([arm, { points }]) => {
    const value = nearest(points, x, distance)[1];
    return `${arm} ${view.key ? short(value) : (chosen.view === "difference" && value > 0 ? "+" : "") + value.toFixed(4)}`;
  });
  addReadout(drawn, "curve-readout", texts, x => `${axisLabels[chosen.x]} ${short(x)}`, [...shown.values()].flatMap(one => one.points.map(point => point[0])));
}

function drawArm(arm, { runs, points }, drawn) {
  const style = styleOf(arm), group = make("g", { "data-arm": arm }, drawn.plot);
  for (const run of runs) {
    const seen = known(run.points);
    if (!seen.length) continue;
    make("path", { d: line(seen, drawn.at), style: `${stroke(style.colour)};stroke-width:.8;opacity:.45` }, group);
    const dots = seen.length <= MAX_DOTS ? seen : seen.slice(-1);
    for (const [x, value] of dots) make("circle", { cx: drawn.at.x(x).toFixed(1), cy: drawn.at.y(value).toFixed(1), r: 2, style: `fill:${style.colour};opacity:.6`, class: "seed" }, group);
    const [x, value] = seen[seen.length - 1];
    if (run.curve.status === "diverged") drawCross(drawn.at.x(x), drawn.at.y(value), 5, style.colour, group);
  }
  make("path", { d: line(points, drawn.at), style: `${stroke(style.colour)};stroke-width:2.4`, "stroke-dasharray": style.dash, class: "mean" }, group);
  const every = Math.max(1, Math.floor(points.length / MAX_MARKERS));
  points.forEach(([x, value], index) => { if ((points.length - 1 - index) % every === 0) drawMarker(style.marker, drawn.at.x(x), drawn.at.y(value), 4.5, style.colour, group); });
}

function drawLegend(all) {
  const box = document.getElementById("curve-legend"), active = document.activeElement;
  const focused = active && active.dataset ? active.dataset.arm : undefined;
  box.textContent = "";
  for (const arm of all.keys()) {
    const label = document.createElement("label"), tick = document.createElement("input");
    tick.type = "checkbox"; tick.checked = !hidden.has(arm); tick.dataset.arm = arm;
    tick.addEventListener("change", () => { tick.checked ? hidden.delete(arm) : hidden.add(arm); drawCurves(); });
    const swatch = swatchOf(styleOf(arm));
    const lost = all.get(arm).every(curve => curve.status === "diverged");
    label.append(tick, swatch, lost ? `${arm} (diverged)` : arm);
    box.append(label);
    if (arm === focused) tick.focus();
  }
}
