"""The files of a report; that of a plain sweep shows the loss by swept setting."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from pathlib import Path

import pytest
import yaml

from lmlab.design.manifest import Manifest
from lmlab.run_folder import RunFolder
from lmlab.study.sweep_folder import SweepFolder, sweeps_in
from lmlab.study.write_report import write_report

RATES, SIZES = ("1e-3", "1e-2", "1e-1"), ("4", "8")


@pytest.fixture
def sweep(tmp_path: Path, manifest: Manifest) -> Path:
    """A sweep over two settings and two seeds, of which one combination diverged."""
    jobs = [(rate, size, seed) for rate in RATES for size in SIZES for seed in (0, 1)]
    overrides = [
        [f"optim.lr={rate}", f"training.batch_size={size}", f"seed={seed}"]
        for rate, size, seed in jobs
    ]
    arms = []
    for rate, size, seed in jobs:
        content = json.loads(json.dumps(manifest.arms[0]))
        content["optim"]["lr"] = float(rate)
        content["training"]["batch_size"] = int(size)
        seeds = dict.fromkeys(content["seeds"], seed)
        arms.append(content | {"seed": seed, "seeds": seeds})
    plain = Manifest(
        study="sweep", command="python -m lmlab.train -m ...", arms=arms, overrides=overrides,
        names=[f"optim.lr-{rate}+training.batch_size-{size}" for rate, size, _ in jobs],
    )  # fmt: skip
    folder = SweepFolder.of(plain, tmp_path / "outputs")
    folder.write_manifest(plain)
    for job in plain.required_jobs({}):
        rate, size, seed = jobs[job.number]
        run = RunFolder(folder.study_folder / job.arm / f"seed{job.seed}")
        run.path.mkdir(parents=True)
        run.config.write_text(yaml.safe_dump(arms[job.number]), "utf-8")
        folder.add_entry(job, ["run"], run)
        diverged = (rate, size) == ("1e-1", "4")
        for step in (0, 10, 20):
            loss = 6 - step * float(rate) - 0.01 * int(size) + 0.002 * seed
            row = {"step": step, "tokens": 64 * step, "seconds": step / 50, "bits_per_byte": 1.0}
            run.append_row(
                {"kind": "validation", **row, "loss": float("nan") if diverged and step else loss}
            )
        run.write_status("diverged" if diverged else "done", step=20, steps=20)
    return folder.study_folder


def test_a_sweep_over_two_numbers_has_a_heat_map(sweep: Path) -> None:
    lines = write_report(sweep)
    best = "Lowest mean final loss: 3.9210 (sd 0.0014, 2 seeds) at "
    assert f"{best}optim.lr=1e-1, training.batch_size=8." in lines
    for name in ("sweep.png", "sweep.svg", "sweep.pdf"):
        assert (sweep / name).stat().st_size > 1000
    svg = (sweep / "sweep.svg").read_text("utf-8")
    page = (sweep / "report.html").read_text("utf-8")
    section = re.search(r'<section id="sweep".*?</section>', page, flags=re.DOTALL)
    assert section is not None
    for text in (svg, section[0]):
        for label in ("optim.lr", "training.batch_size", "0.001", "0.1", "nats per token"):
            assert label in text
        assert text.count(">diverged<") == 1 and text.count(">2/2<") == 1
        # 6 - 20 lr - 0.01 batch size, and the mean of the seeds' 0 and 0.002.
        assert ">5.941<" in text and ">3.921<" in text
    assert "](sweep.png)" in (sweep / "report.md").read_text("utf-8")
    rows = re.findall(r"<tr><td.*?</tr>", section[0])
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]
    assert [row[:2] for row in cells] == [
        ["1e-1", "8"], ["1e-2", "8"], ["1e-2", "4"], ["1e-3", "8"], ["1e-3", "4"], ["1e-1", "4"]
    ]  # fmt: skip
    assert cells[0] == ["1e-1", "8", "3.9210", "0.0014", "2", "2 done"]
    assert cells[-1] == ["1e-1", "4", "", "", "0", "2 diverged"]
    with open(sweep / "sweep.csv", encoding="utf-8", newline="") as file:
        results = list(csv.DictReader(file))
    assert [(row["optim.lr"], row["training.batch_size"]) for row in results] == [
        (row[0], row[1]) for row in cells
    ]
    assert float(results[0]["mean_loss"]) == pytest.approx(3.921, abs=1e-12)
    assert results[-1]["mean_loss"] == "" and results[-1]["status"] == "2 diverged"
    header, *table = (sweep / "results.csv").read_text("utf-8").splitlines()
    assert header.endswith(",loss,bits_per_byte,optim.lr,training.batch_size")
    assert len(table) == 12 and table[0].endswith(",1e-1,8")
    data = re.search(r'id="data">(.*?)</script>', page)
    assert data is not None
    arms = [arm["name"] for arm in json.loads(data[1])["arms"]]
    assert arms[0] == "optim.lr-1e-1+training.batch_size-8", "legends have the order of the table"


@pytest.mark.long
def test_further_sweeps_of_a_study_are_named_with_the_command_that_reports_them(
    sweep: Path,
) -> None:
    (first,) = sweeps_in(sweep)
    plain = first.manifest()
    arm = json.loads(json.dumps(plain.arms[0]))
    arm["optim"]["weight_decay"] = 0.5
    newest = dataclasses.replace(
        plain, arms=[arm], names=["decay"], overrides=[["optim.weight_decay=0.5"]]
    )
    folder = SweepFolder.of(newest, sweep.parent)
    folder.write_manifest(newest)
    (job,) = newest.required_jobs({})
    folder.add_entry(job, ["run"], RunFolder(sweep / "decay" / "seed0"))

    lines = write_report(sweep)
    command = f"python -m lmlab.report {arm['output_root']}/sweep/sweeps/{first.path.name}"
    (line,) = [line for line in lines if line.startswith("not in this report")]
    assert "12 runs of a sweep over optim.lr, training.batch_size" in line and command in line
    text, page = ((sweep / name).read_text("utf-8") for name in ("report.md", "report.html"))
    for written in (text, page):
        assert command in written and f"sweeps/{first.path.name}/" in written
    assert not any("not in this report" in one for one in write_report(first.path))
    assert f"sweeps/{first.path.name}/report.html" not in text
    write_report(sweep)
    assert f"sweeps/{first.path.name}/report.html" in (sweep / "report.md").read_text("utf-8")

    again = dataclasses.replace(plain, arms=plain.arms[:2], names=plain.names[:2],
                                overrides=plain.overrides[:2])  # fmt: skip
    part = SweepFolder.of(again, sweep.parent)
    part.write_manifest(again)
    for entry in first.entries()[:2]:
        part.add_entry(entry.job, ["run"], entry.run)
    first.write_manifest(plain)  # submitted again
    lines = [line for line in write_report(sweep) if line.startswith("not in this report")]
    assert len(lines) == 1 and folder.path.name in lines[0], "all runs of the other one are shown"
