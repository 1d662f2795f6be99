"use strict";
// Use the controls of a report page and append what they show to the page as JSON.
addEventListener("load", () => {
  const all = selector => [...document.querySelectorAll(selector)];
  const means = () => all("#curve-chart path.mean");
  const shapes = () => means().map(node => node.getAttribute("d")).join();
  const axis = () => all("#curve-chart text").at(-1).textContent;
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
  seen.edges = all("#rate-chart .edge").length;
  seen.diverged = all("#rate-chart .diverged").length;

  const prompts = document.getElementById("prompt");
  seen.prompts = [...prompts.options].map(node => node.textContent);
  prompts.value = prompts.options[1].value;
  prompts.dispatchEvent(new Event("change"));
  seen.samples = all("#sample-list p").map(node => node.textContent);
  seen.bold = all("#sample-list b").length;

  seen.overflow = document.documentElement.scrollWidth - innerWidth;
  const texts = all("main *").filter(node =>
    node.childElementCount === 0 && node.textContent.trim() && !node.closest("svg"));
  seen.smallest = Math.min(...texts.map(node => parseFloat(getComputedStyle(node).fontSize)));

  const out = document.createElement("pre");
  out.id = "seen";
  out.textContent = JSON.stringify(seen);
  document.body.append(out);
});
