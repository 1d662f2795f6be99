"""The page in a real browser: its controls work, it needs no network, and it fits a phone."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study
from lmlab.study.write_report import write_report
from tests.support.ladder_folders import write_ladder
from tests.support.ladders import a_ladder

CHROMIUM = shutil.which("chromium")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

DRIVER = (Path(__file__).parents[2] / "support" / "page_driver.js").read_text("utf-8")
LISTENER = """<script>
window.seenErrors = [];
addEventListener("error", event => seenErrors.push(event.message));
</script>"""


def browse(page: Path, folder: Path, width: int, script: str, *more: str) -> str:
    """Open a page with a script added; return the resulting document as HTML."""
    text = page.read_text("utf-8").replace("<head>", f"<head>{LISTENER}", 1)
    driven = folder / "driven.html"
    driven.write_text(text.replace("</body>", f"<script>{script}</script></body>"), "utf-8")
    assert CHROMIUM is not None
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900",
             "--virtual-time-budget=5000", "--dump-dom", *more]  # fmt: skip
    found = subprocess.run(
        [CHROMIUM, *flags, driven.as_uri()], capture_output=True, text=True, timeout=120
    )
    assert found.returncode == 0, found.stderr[-2000:]
    return found.stdout


def drive(page: Path, folder: Path, width: int) -> dict[str, Any]:
    """Use the controls of a page; return what the driver observed."""
    document = browse(page, folder, width, DRIVER)
    match = re.search(r'<pre id="seen">(.*?)</pre>', document, flags=re.DOTALL)
    assert match, document[-2000:]
    seen: dict[str, Any] = json.loads(html.unescape(match[1]))
    return seen


@needs_browser
@pytest.mark.parametrize("width", [1200, 500], ids=["desktop", "narrow"])
def test_the_controls_change_the_charts(reported: Path, tmp_path: Path, width: int) -> None:
    content = build_content(load_study(reported))
    seen = drive(reported / "report.html", tmp_path, width)
    assert seen["errors"] == []
    assert seen["requests"] == [], "the page requests nothing"
    assert seen["arms"] == 4
    assert {key: text.split()[-1] for key, text in seen["axes"].items()} == {
        "steps": "steps", "seconds": "(seconds)", "flops": "FLOPs", "tokens": "tokens",
    }  # fmt: skip
    assert [label.partition(" linear near the best")[0] for label in seen["yLabels"]] == [
        "validation loss (nats per token)", "final validation loss (nats per token)"
    ]  # fmt: skip
    assert seen["scaleChanges"] and seen["rateChanges"]
    assert seen["armsWithoutOne"] == 3 and seen["armsAgain"] == 4
    assert "rms" in seen["readout"] and "tokens" in seen["readout"]
    first, second = seen["readout"].partition(":")[0], seen["keyboard"].partition(":")[0]
    assert first != second and seen["keyboard"].count("again") == 1 and seen["focusable"]
    assert seen["edges"] == 3 and seen["diverged"] >= 3
    rates = [row for row in content["rates"] if row["loss"] is not None]
    drawn = [row for row in rates if row["arm"] != "again"]
    assert seen["rateSeeds"] == len(drawn), "one dot per run"
    assert seen["spreads"] >= 3, "standard deviations of the judged runs"
    assert seen["prompts"] == ["Once upon a time", "One day"]
    assert len(seen["samples"]) == 4
    assert all("</script><b>bold</b> & 'quotes'" in text for text in seen["samples"])
    assert seen["bold"] == 0, "text is shown, not interpreted as HTML"
    assert seen["overflow"] <= 0, "no horizontal overflow"
    assert seen["smallest"] >= 11, "readable text sizes"


@needs_browser
def test_the_chart_shows_other_quantities_and_every_seed(reported: Path, tmp_path: Path) -> None:
    content = build_content(load_study(reported))
    seen = drive(reported / "report.html", tmp_path, 1200)
    arms = [arm["name"] for arm in content["arms"]]
    assert {view: label for view, (label, _, _) in seen["views"].items()} == {
        "loss": "validation loss (nats per token)",
        "difference": "difference from rms (nats per token) linear near zero, logarithmic beyond",
        "train_loss": "training loss (nats per token)",
        "grad_norm": "gradient norm before clipping",
        "throughput": "throughput (tokens per second)",
    }
    assert all(number == 4 and drawn for _, number, drawn in seen["views"].values())
    assert len(set(seen["zero"])) == 1, "the baseline does not differ from itself"
    for arm, points in zip(arms, seen["points"], strict=True):
        assert seen["dots"][arm] == 5 * points, "a dot per seed and evaluation"
    assert seen["looks"] == 4
    assert seen["legend"] == seen["sampleArms"] == seen["tableArms"] == arms
    assert seen["isSecondsOff"] and seen["differenceAxis"] == "training tokens"
    assert seen["rateLegend"] == [arm for arm in arms if arm != "again"]
    assert seen["cut"] == 0


@needs_browser
def test_the_page_fits_a_phone(reported: Path, tmp_path: Path) -> None:
    page = reported / "report.html"
    # Chromium's windows are no narrower than 500 pixels; a frame of a page may be.
    frame = (
        f"""<iframe id="phone" style="width:360px;height:800px" src="{page.as_uri()}"></iframe>"""
    )
    (tmp_path / "frame.html").write_text(f"<head></head><body>{frame}</body>", "utf-8")
    script = """addEventListener("load", () => {
      const view = document.getElementById("phone").contentDocument.documentElement;
      document.body.dataset.seen = [view.clientWidth, view.scrollWidth].join();
    });"""
    document = browse(
        tmp_path / "frame.html", tmp_path, 800, script, "--allow-file-access-from-files"
    )
    match = re.search(r'data-seen="(\d+),(\d+)"', document)
    assert match is not None and match[2] == match[1], "no horizontal scrolling"
    assert int(match[1]) <= 360


@needs_browser
def test_a_page_without_runs_says_so(write_study: Callable[..., Path], tmp_path: Path) -> None:
    study = write_study(0)
    write_report(study)
    script = "document.body.dataset.errors = seenErrors.length;"
    document = browse(study / "report.html", tmp_path, 1200, script)
    assert 'data-errors="0"' in document
    assert "This study is not finished." in document and "Learning curves</h2>" not in document


def test_the_page_refers_to_no_other_file(reported: Path) -> None:
    text = (reported / "report.html").read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|@import|<link[^>]+stylesheet|src=", text)


@needs_browser
@pytest.mark.long
def test_the_verdicts_fit_the_width_of_a_laptop(tmp_path: Path) -> None:
    records = Path(__file__).parents[3] / "experiments" / "ablations" / "records"
    write_report(records, tmp_path)
    script = """document.body.dataset.cut = Math.max(...[...document.querySelectorAll(
      ".scroll:has(.verdicts)")].map(box => box.scrollWidth - box.clientWidth));"""
    assert 'data-cut="0"' in browse(tmp_path / "report.html", tmp_path, 1280, script)


def test_a_study_without_a_baseline_shows_no_verdicts(reported: Path) -> None:
    with_one = (reported / "report.html").read_text("utf-8")
    path = next(reported.glob("sweeps/*/manifest.json"))
    manifest = json.loads(path.read_text("utf-8"))
    manifest["comparison"] |= {"baseline": None, "replicate": None}
    path.write_text(json.dumps(manifest), "utf-8")
    ledger = path.with_name("ledger.jsonl")
    rows = [row for row in ledger.read_text("utf-8").splitlines() if '"again"' not in row]
    ledger.write_text("".join(f"{row}\n" for row in rows), "utf-8")
    write_report(reported)
    without = (reported / "report.html").read_text("utf-8")
    for text in ("Verdicts</h2>", "<span>baseline's</span>"):
        assert text in with_one and text not in without


LADDER_SCRIPT = """addEventListener("load", () => {
  const all = selector => [...document.querySelectorAll(selector)];
  const shapes = () => all("#curve-chart path.mean").map(node => node.getAttribute("d")).join();
  const shown = all(".figure").filter(node => node.getBoundingClientRect().width > 0);
  const highest = shapes();
  all("input[name=rung][value=r1]")[0].click();
  const ids = all("section[id]").map(node => node.id);
  const seen = {
    errors: window.seenErrors, requests: performance.getEntriesByType("resource").length,
    changes: highest !== shapes() && shapes().length > 0, arms: all("#curve-legend label").length,
    ids, figures: shown.map(node => node.className),
    overflow: document.documentElement.scrollWidth - innerWidth,
    wide: shown.filter(node => node.getBoundingClientRect().right > innerWidth + 1).length,
  };
  const out = document.createElement("pre");
  out.id = "seen";
  out.textContent = JSON.stringify(seen);
  document.body.append(out);
});"""


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished ladder with its report; do not write to it."""
    ladder = a_ladder(4, replicate="again", max_factor=12.0)
    folder = write_ladder(tmp_path_factory.mktemp("ladder"), ladder)
    write_report(folder)
    return folder


def test_the_report_of_a_ladder_has_the_same_bytes_again(ladder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(ladder.parent, tmp_path / "outputs"), ladder.name)
    first = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert {"gains.png", "loss_by_compute.svg", "gains.csv", "report.html"} < set(first)
    write_report(folder)
    assert first == {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@needs_browser
@pytest.mark.parametrize("width", [1200, 500], ids=["desktop", "narrow"])
def test_a_ladder_fits_the_screen_and_shows_the_curves_of_each_rung(
    ladder: Path, tmp_path: Path, width: int
) -> None:
    document = browse(ladder / "report.html", tmp_path, width, LADDER_SCRIPT)
    match = re.search(r'<pre id="seen">(.*?)</pre>', document, flags=re.DOTALL)
    assert match, document[-2000:]
    seen = json.loads(html.unescape(match[1]))
    assert seen["errors"] == [] and seen["requests"] == 0 and seen["changes"]
    assert seen["arms"] == 3 and seen["overflow"] <= 0 and seen["wide"] == 0
    kind = "figure wide" if width > 640 else "figure narrow"
    assert seen["figures"] == [kind] * 3, "one of each pair is shown"
    assert seen["ids"][:5] == ["gains", "losses", "seconds", "seals", "rungs"]
    assert len(set(seen["ids"])) == len(seen["ids"])
