"use strict";
// Use the controls of a report page and append what they show to the page as JSON.
addEventListener("load", () => {
  const all = selector => [...document.querySelectorAll(selector)];
  const means = () => all("#curve-chart path.mean");
  const shapes = () => means().map(node => node.getAttribute("d")).join();
  const axis = () => all("#curve-chart text").at(-1).textContent;
  const yAxis = () => all("#curve-chart text[transform]")[0].textContent;
  const choose = (name, value) => all(`input[name=${name}][value=${value}]`)[0].click();
  const yLabels = () => all("svg text[transform]").map(text => text.textContent);
  const toggleFirstArm = () => all("#curve-legend button, #curve-legend input")[0].click();
  const seen = {
    errors: window.seenErrors,
    requests: performance.getEntriesByType("resource").map(node => node.name),
    arms: means().length,
    axes: {},
    yLabels: yLabels(),
  };
  for (const value of ["steps", "seconds", "flops", "tokens"]) {
    choose("x", value);
    seen.axes[value] = axis();
  }
  seen.dots = Object.fromEntries(all("#curve-chart g[data-arm]").map(group =>
    [group.dataset.arm, group.querySelectorAll(".seed").length]));
  seen.points = means().map(node => node.getAttribute("d").split(/[ML]/).length - 1);
  seen.looks = new Set(all("#curve-legend svg").map(svg => svg.innerHTML)).size;
  seen.legend = all("#curve-legend label").map(label => label.textContent);
  seen.views = {};
  const views = all("input[name=view]").map(input => input.value);
  for (const view of views) {
    choose("view", view);
    seen.views[view] = [yAxis(), means().length, shapes().length > 0];
  }
  choose("x", "seconds");
  choose("view", "difference");
  seen.differenceAxis = axis();
  seen.isSecondsOff = all("input[name=x][value=seconds]")[0].disabled;
  seen.zero = all("#curve-chart g[data-arm]")[0].querySelector(".mean").getAttribute("d")
    .split(/[ML]/).slice(1).map(place => place.split(" ")[1]);
  choose("view", "loss");
  const logarithmic = shapes();
  choose("scale", "linear");
  seen.scaleChanges = logarithmic !== shapes();
  const ownRate = shapes();
  choose("at", "baseline");
  seen.rateChanges = ownRate !== shapes();
  choose("at", "judged");
  toggleFirstArm();
  seen.armsWithoutOne = means().length;
  toggleFirstArm();
  seen.armsAgain = means().length;

  const chart = all("#curve-chart svg")[0], box = chart.getBoundingClientRect();
  const middle = { clientX: box.left + box.width / 2, clientY: box.top + 20 };
  chart.dispatchEvent(new PointerEvent("pointermove", middle));
  seen.readout = document.getElementById("curve-readout").textContent;
  chart.focus();
  for (const key of ["Home", "ArrowRight"]) chart.dispatchEvent(new KeyboardEvent("keydown", { key }));
  seen.keyboard = document.getElementById("curve-readout").textContent;
  seen.focusable = document.activeElement === chart;
  seen.spreads = all("#rate-chart .spread").length;
  seen.rateSeeds = all("#rate-chart .seed").length;
  seen.rateLegend = all("#rate-legend label").map(entry => entry.textContent);
  seen.edges = all("#rate-chart .edge").length;
  seen.diverged = all("#rate-chart .diverged").length;

  const prompts = document.getElementById("prompt");
  seen.prompts = [...prompts.options].map(node => node.textContent);
  prompts.value = prompts.options[1].value;
  prompts.dispatchEvent(new Event("change"));
  seen.samples = all("#sample-list p").map(node => node.textContent);
  seen.sampleArms = all("#sample-list h3").map(node => node.firstChild.textContent);
  seen.tableArms = all("#differences tbody th").map(node => node.firstChild.textContent.trim());
  seen.bold = all("#sample-list b").length;

  const boxes = all("main *").filter(node => !node.closest("svg, .scroll, select"));
  seen.cut = boxes.filter(node => node.getBoundingClientRect().right > innerWidth + 1).length;
  seen.overflow = document.documentElement.scrollWidth - innerWidth;
  const texts = all("main *").filter(node =>
    node.childElementCount === 0 && node.textContent.trim() && !node.closest("svg"));
  seen.smallest = Math.min(...texts.map(node => parseFloat(getComputedStyle(node).fontSize)));

  const out = document.createElement("pre");
  out.id = "seen";
  out.textContent = JSON.stringify(seen);
  document.body.append(out);
});
