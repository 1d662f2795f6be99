"use strict";
// Runs in a report page after its own script, uses the controls, and leaves what it saw there.
addEventListener("load", () => {
  const all = selector => [...document.querySelectorAll(selector)];
  const means = () => all("#curve-chart path.mean");
  const shapes = () => means().map(one => one.getAttribute("d")).join();
  const axis = () => all("#curve-chart text").at(-1).textContent;
  const choose = (name, value) => all(`input[name=${name}][value=${value}]`)[0].click();
  const toggleFirstArm = () => all("#curve-legend button, #curve-legend input")[0].click();
  const seen = {
    errors: window.seenErrors,
    requests: performance.getEntriesByType("resource").map(one => one.name),
    arms: means().length,
    axes: {},
  };
  for (const value of ["steps", "seconds", "flops", "tokens"]) {
    choose("x", value);
    seen.axes[value] = axis();
  }
  const logarithmic = shapes();
  choose("scale", "linear");
  seen.scaleChanges = logarithmic !== shapes();
  const own = shapes();
  choose("at", "baseline");
  seen.rateChanges = own !== shapes();
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
  seen.broken = all("#rate-chart .broken").length;

  const prompts = document.getElementById("prompt");
  seen.prompts = [...prompts.options].map(one => one.textContent);
  prompts.value = prompts.options[1].value;
  prompts.dispatchEvent(new Event("change"));
  seen.samples = all("#sample-list p").map(one => one.textContent);
  seen.bold = all("#sample-list b").length;

  seen.overflow = document.documentElement.scrollWidth - innerWidth;
  const texts = all("main *").filter(one =>
    one.childElementCount === 0 && one.textContent.trim() && !one.closest("svg"));
  seen.smallest = Math.min(...texts.map(one => parseFloat(getComputedStyle(one).fontSize)));

  const out = document.createElement("pre");
  out.id = "seen";
  out.textContent = JSON.stringify(seen);
  document.body.append(out);
});
