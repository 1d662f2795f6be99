"""The description of a run that a tracker receives, from the files of the run folder."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from lmlab.run_folder import RunFolder
from lmlab.runs.samples import write_samples
from lmlab.tracking.run_info import RunInfo, describe_to_tracker, final_values, read_samples

CONFIG = {"study": "norms", "arm": "post", "seed": 3, "purpose": "search"}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run of four evaluations, the last of which is not finite."""
    folder = RunFolder(tmp_path / "norms" / "post" / "seed3")
    folder.write_meta(
        {
            "corpus": "toystories",
            "num_parameters": 1234,
            "floor": {"nats_per_token": 0.5, "bits_per_byte": 0.1, "note": "exact"},
            "sessions": [{"code": {"commit": "old"}}, {"code": {"commit": "abc"}}],
        }
    )
    for step, loss in ((0, 1.0), (10, 3.0), (20, 2.0), (30, math.nan)):
        times = {"tokens": 32 * step, "seconds": 0.1 * step}
        folder.append_row({"kind": "validation", "step": step, **times, "loss": loss})
    folder.write_status("diverged")
    return folder


def test_final_values_are_those_of_the_files(run: RunFolder) -> None:
    values = final_values(run, "search")
    assert math.isnan(values.pop("loss"))
    assert values == {
        "status": "diverged", "purpose": "search", "parameters": 1234, "commit": "abc",
        "floor": 0.5, "floor_bits_per_byte": 0.1, "step": 30, "tokens": 960, "seconds": 3.0,
        "best_loss": 2.0, "best_step": 20,
    }  # fmt: skip


def test_an_empty_folder_has_no_values_but_its_status(tmp_path: Path) -> None:
    assert final_values(RunFolder(tmp_path), "", "failed") == {"status": "failed", "purpose": "run"}


def test_the_description_holds_notes_tags_and_earlier_rows(run: RunFolder) -> None:
    run.annotate("as planned", ["a", "toystories", "a"])
    info = describe_to_tracker(run, CONFIG, resumed=True)
    assert (info.name, info.group, info.purpose) == ("post/seed3", "norms", "search")
    assert (info.notes, info.tags) == ("as planned", ("toystories", "a"))
    assert [row["step"] for row in info.earlier_rows] == [0, 10, 20, 30]


@pytest.mark.parametrize(
    ("folder", "group", "expected"),
    [
        ("out/norms/post/seed0", "norms", "out/norms"),
        ("out/team/norms/post/seed0", "team/norms", "out/team/norms"),
        ("elsewhere/copy", "norms", "elsewhere/copy"),
    ],
)
def test_a_moved_run_writes_into_its_own_folder(
    tmp_path: Path, folder: str, group: str, expected: str
) -> None:
    info = RunInfo(tmp_path / folder, "a", group, (), {})
    assert info.study_folder == (tmp_path / expected).resolve()


def test_samples_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [
        {"prompt": "One", "text": " cat.\n\n```text\n", "step": 7},
        {"prompt": "One day", "text": "", "step": 7},
        {"prompt": "", "text": "Once", "step": 7},
    ]
    write_samples(tmp_path / "samples.md", rows, 7)
    assert read_samples(tmp_path / "samples.md", ["One", "One day", ""]) == rows
    assert read_samples(tmp_path / "missing.md", ["One"]) == []
    rows = [{"prompt": "One", "text": " a\r\nb\rc\n", "step": 7}]
    write_samples(tmp_path / "samples.md", rows, 7)
    assert read_samples(tmp_path / "samples.md", ["One"]) == rows, "line ends are part of a text"
