/* Final loss against learning rate: every seed, mean and standard deviation, and below it the rates that trained. */
const ROW = 18;

function lossesByRate(arm, purpose) {
  const found = new Map();
  for (const row of data.rates) if (row.arm === arm && row.purpose === purpose) found.set(row.lr, [...(found.get(row.lr) || []), row.loss]);
  return [...found].sort((a, b) => a[0] - b[0]);
}

function drawRates() {
  const box = document.getElementById("rate-chart"), chart = data.rate_chart;
  if (!box || !chart) return;
  const rates = data.rates.map(row => row.lr), arms = chart.arms;
  const hasEdge = arms.some(arm => chart.unstable[arm].length);
  const drawn = frame(box, { min: Math.min(...rates) / 1.2, max: Math.max(...rates) * 1.2, log: true },
    { min: chart.low, max: chart.high, origin: chart.origin, width: chart.width, ticks: chart.ticks },
    { x: "peak learning rate", y: `final validation loss (${data.unit})`, title: "final validation loss against learning rate" },
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
    for (const [rate, losses] of lossesByRate(arm, "judged")) drawSeeds(drawn, rate, losses.filter(loss => loss !== null), style, group, true);
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

/* Draw each seed as a dot, and the standard deviation around their mean as a bar. */
function drawSeeds(drawn, rate, losses, style, group, isJudged) {
  const x = drawn.at.x(rate);
  if (losses.length > 1) {
    const middle = mean(losses), spread = sd(losses), top = drawn.at.y(middle + spread), bottom = drawn.at.y(middle - spread);
    make("path", { d: `M${x} ${top}L${x} ${bottom}M${x - 4} ${top}h8M${x - 4} ${bottom}h8`, style: `${stroke(style.colour)};stroke-width:1.3`, class: "spread" }, group);
  }
  for (const loss of losses) {
    const fill = isJudged ? `fill:var(--paper);stroke:${style.colour};stroke-width:1.2` : `fill:${style.colour};opacity:.7`;
    make("circle", { cx: x, cy: drawn.at.y(loss), r: 2.6, style: fill, class: "seed" }, group);
  }
}

/* One row per arm: a line over the rates that trained, a bar at the highest, and crosses beyond the edge. */
function drawStability(drawn, arm, y) {
  const style = styleOf(arm), stable = data.rate_chart.stable[arm], unstable = data.rate_chart.unstable[arm];
  const group = make("g", { "data-arm": arm, class: "stability" }, drawn.svg);
  make("title", {}, group, `${arm}: highest rate that trained ${stable.length ? short(stable[stable.length - 1]) : "none"}, beyond the edge of divergence ${unstable.map(short).join(", ") || "none"}`);
  make("text", { x: drawn.left - 8, y: y + 4, "text-anchor": "end", class: "small" }, group, cut(arm, 11));
  if (stable.length) {
    const last = drawn.at.x(stable[stable.length - 1]);
    make("path", { d: `M${drawn.at.x(stable[0])} ${y}L${last} ${y}M${last} ${y - 6}v12`, style: `${stroke(style.colour)};stroke-width:2`, class: "edge" }, group);
  }
  for (const rate of unstable) drawCross(drawn.at.x(rate), y, 4.5, style.colour, group);
}
