/* Samples, controls, and the start. */
function drawSamples() {
  const select = document.getElementById("prompt"), list = document.getElementById("sample-list");
  if (!select) return;
  const ordered = names.flatMap(arm => data.samples.filter(sample => sample.arm === arm));
  const prompts = new Set(ordered.map(sample => sample.prompt));
  for (const prompt of prompts) select.append(new Option(prompt || "(none)", prompt));
  select.closest("p").hidden = prompts.size < 2 && prompts.has("");  /* not recorded, so nothing to choose */
  const show = () => {
    list.textContent = "";
    for (const sample of ordered.filter(sample => sample.prompt === select.value)) {
      const card = document.createElement("article"), title = document.createElement("h3"), facts = document.createElement("small");
      const text = document.createElement("p"), start = document.createElement("span");
      card.className = "sample"; start.className = "prompt"; text.tabIndex = 0;
      facts.textContent = [`seed ${sample.seed}`, sample.sampling, sample.loss === null ? "" : `loss ${sample.loss.toFixed(3)}`].filter(Boolean).join(", ");
      title.append(sample.arm, facts); start.textContent = sample.prompt;
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
let shownWidth = innerWidth;
addEventListener("resize", () => { if (innerWidth !== shownWidth) { shownWidth = innerWidth; drawCurves(); drawRates(); } });
drawCurves(); drawRates(); drawSamples();
