"""What a report says of runs that another study trained."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from lmlab.study.glossary import build_glossary
from lmlab.study.links import build_links
from lmlab.study.rerun_commands import study_commands
from lmlab.study.reused_runs import reused_runs
from lmlab.study.run_records import Study, load_study

EXPERIMENTS = Path(__file__).parents[3] / "experiments"


def margin_of(study: Study) -> str:
    return dict(map(tuple, build_glossary(study)))["margin"]


def test_the_margin_of_reused_runs_is_not_said_to_be_older_than_they_are() -> None:
    study = load_study(EXPERIMENTS / "ablate_pos" / "records")
    assert reused_runs(study) == {"ablations": len(study.records)}
    assert margin_of(study).endswith(
        "declared by this study, whose runs existed before it: it reuses those of other studies."
    )
    own = [dataclasses.replace(one, folder="ablate_pos/a/seed0") for one in study.records]
    partly = dataclasses.replace(study, records=[study.records[0], *own[1:]])
    assert "which reuses runs that existed before it" in margin_of(partly)
    whole = dataclasses.replace(study, records=own)
    assert reused_runs(whole) == {} and margin_of(whole).endswith("chosen before the study.")
    assert "does not find" in study_commands(study)[0]["label"]
    assert study_commands(whole)[0]["label"] == "the whole study"


def test_a_published_study_links_to_the_study_beside_it_whose_runs_it_reuses(
    tmp_path: Path,
) -> None:
    own = tmp_path / "ablate_pos"
    shutil.copytree(EXPERIMENTS / "ablate_pos" / "records", own / "records")
    for folder in (own, own / "records"):
        ((name, _, address),) = build_links(load_study(folder), own, [], []).studies
        assert (name, address) == ("ablations", ""), "it is not there"
    (tmp_path / "ablations").mkdir()
    (tmp_path / "ablations" / "report.html").touch()
    for folder in (own, own / "records"):
        ((_, _, address),) = build_links(load_study(folder), own, [], []).studies
        assert address == "../ablations/report.html"
