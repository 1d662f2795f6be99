/* Final loss against learning rate: every seed, mean and standard deviation, and below it the rates that trained. */
const ROW = 18;
const hiddenRates = new Set();

function lossesByRate(arm, ...purposes) {
  const found = new Map();
  for (const row of data.rates) if (row.arm === arm && purposes.includes(row.purpose)) found.set(row.lr, [...(found.get(row.lr) || []), row.loss]);
  return [...found].sort((a, b) => a[0] - b[0]);
}

function drawRates() {
  const box = document.getElementById("rate-chart"), chart = data.rate_chart;
  if (!box || !chart) return;
  const rates = data.rates.map(row => row.lr), arms = chart.arms.filter(arm => !hiddenRates.has(arm));
  drawRateLegend(chart.arms);
  if (!arms.length) { box.textContent = "No arms to show."; return; }
  const hasEdge = arms.some(arm => chart.unstable[arm].length + chart.failed[arm].length);
  const perCharacter = box.clientWidth < 560 ? 8.5 : 7;  /* as wide as the labels' font needs */
  const drawn = frame(box, { min: Math.min(...rates) / 1.2, max: Math.max(...rates) * 1.2, log: true },
    { min: chart.low, max: chart.high, origin: chart.origin, width: chart.width, ticks: chart.ticks },
    { x: "peak learning rate", y: `final validation loss (${data.unit})${chart.width === null ? "" : "\nlinear near the best, logarithmic beyond"}`, left: hasEdge ? 20 + perCharacter * Math.max(...arms.map(arm => arm.length)) : 0, title: "final validation loss against learning rate" },
    hasEdge ? ROW * arms.length + 10 : 0);
  const lines = new Map();
  for (const arm of arms) {
    const style = styleOf(arm), group = make("g", { "data-arm": arm }, drawn.plot);
    const searched = lossesByRate(arm, "search"), points = [];
    for (const [rate, losses] of searched) {
      const finite = losses.filter(loss => loss !== null);
      if (finite.length === losses.length) points.push([rate, mean(finite), finite]);
      drawSeeds(drawn, rate, finite, style, group, false);
    }
    for (const [rate, losses] of lossesByRate(arm, "judged", "baseline's lr")) drawSeeds(drawn, rate, losses.filter(loss => loss !== null), style, group, true);
    make("path", { d: line(points, drawn.at), style: `${stroke(style.colour)};stroke-width:2`, "stroke-dasharray": style.dash }, group);
    for (const [rate, loss] of points) drawMarker(style.marker, drawn.at.x(rate), drawn.at.y(loss), 4.5, style.colour, group);
    lines.set(arm, points);
  }
  if (hasEdge) arms.forEach((arm, index) => drawStability(drawn, arm, drawn.bottom + 16 + ROW * index));
  const distance = (point, x) => Math.abs(Math.log(point[0] / x));
  addReadout(drawn, "rate-readout", x => [...lines].filter(([, points]) => points.length).map(([arm, points]) => {
    const [rate, loss, seeds] = nearest(points, x, distance);
    return `${arm} ${loss.toFixed(4)}${seeds.length > 1 ? ` ± ${sd(seeds).toFixed(4)}` : ""} at ${short(rate)}`;
  }), x => `learning rate ${short(x)}`, [...lines.values()].flatMap(points => points.map(point => point[0])));
}

function drawRateLegend(arms) {
  const legend = document.getElementById("rate-legend"), active = document.activeElement;
  const focused = active && active.closest("#rate-legend") ? active.dataset.arm : undefined;
  legend.textContent = "";
  for (const arm of arms) {
    const label = document.createElement("label"), tick = document.createElement("input");
    tick.type = "checkbox"; tick.checked = !hiddenRates.has(arm); tick.dataset.arm = arm;
    tick.addEventListener("change", () => { tick.checked ? hiddenRates.delete(arm) : hiddenRates.add(arm); drawRates(); });
    label.append(tick, swatchOf(styleOf(arm)), arm);
    legend.append(label);
    if (arm === focused) tick.focus();
  }
}

/* Draw each seed as a dot, a judged one as the arm's open marker, and the standard deviation around their mean as a bar. */
function drawSeeds(drawn, rate, losses, style, group, isJudged) {
  const x = drawn.at.x(rate);
  if (losses.length > 1) {
    const middle = mean(losses), spread = sd(losses), top = drawn.at.y(middle + spread), bottom = drawn.at.y(middle - spread);
    /* A bar that leaves the chart ends in an arrowhead instead of a cap. */
    const above = drawn.top - 6, below = drawn.bottom + 6;
    const cap = (y, isCut, turn) => isCut ? `M${x - 4} ${y + 6 * turn}L${x} ${y}L${x + 4} ${y + 6 * turn}` : `M${x - 4} ${y}h8`;
    const high = Math.max(top, above + 1), low = Math.min(bottom, below - 1);
    make("path", { d: `M${x} ${high}L${x} ${low}${cap(high, top < above, 1)}${cap(low, bottom > below, -1)}`, style: `${stroke(style.colour)};stroke-width:1.3`, class: "spread" }, group);
  }
  for (const loss of losses) {
    if (isJudged) drawMarker(style.marker, x, drawn.at.y(loss), 3.4, style.colour, group, true).setAttribute("class", "seed");
    else make("circle", { cx: x, cy: drawn.at.y(loss), r: 2.6, style: `fill:${style.colour};opacity:.7`, class: "seed" }, group);
  }
}

/* One row per arm: a line over the stable rates, a bar at the highest, and marks at those where a run diverged or failed to learn. */
function drawStability(drawn, arm, y) {
  const style = styleOf(arm), stable = data.rate_chart.stable[arm], chart = data.rate_chart, unstable = [...chart.unstable[arm], ...chart.failed[arm]].sort((a, b) => a - b);
  const group = make("g", { "data-arm": arm, class: "stability" }, drawn.svg);
  make("title", {}, group, `${arm}: highest stable rate ${stable.length ? short(stable[stable.length - 1]) : "none"}, a run diverged or failed to learn at ${unstable.map(short).join(", ") || "none"}`);
  make("text", { x: drawn.left - 8, y: y + 4, "text-anchor": "end", class: "small" }, group, cut(arm, Math.floor((drawn.left - 12) / (drawn.width < 560 ? 8.5 : 7))));
  if (stable.length) {
    const last = drawn.at.x(stable[stable.length - 1]);
    make("path", { d: `M${drawn.at.x(stable[0])} ${y}L${last} ${y}M${last} ${y - 6}v12`, style: `${stroke(style.colour)};stroke-width:2`, class: "edge" }, group);
  }
  for (const rate of chart.unstable[arm]) drawCross(drawn.at.x(rate), y, 4.5, style.colour, group);
  for (const rate of chart.failed[arm]) drawFailed(drawn.at.x(rate), y, style.colour, group);
  for (const rate of chart.beyond[arm]) drawMarker("^", drawn.at.x(rate), y, 3.6, style.colour, group, true);
}

/* A ring around a dot: a run failed to learn. Open circles are judged runs. */
function drawFailed(x, y, colour, parent) {
  const mark = make("g", { class: "failed" }, parent);
  drawMarker("o", x, y, 4.5, colour, mark, true);
  make("circle", { cx: x, cy: y, r: 1.8, style: `fill:${colour}` }, mark);
}
