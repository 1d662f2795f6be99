"""The coordinate check, and what it says of a wrong muP."""

from __future__ import annotations

from pathlib import Path

import broken_mup
import pytest

from lmlab.build.run_data import RunData, prepare_data
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.config.run_config import RunConfig
from lmlab.demos.activation_sizes import FFN, KINDS, LOGITS
from lmlab.demos.activation_slopes import fit_slopes
from lmlab.demos.coord_check import (
    check_demo_settings,
    coord_check,
    measure,
    option_node,
)
from lmlab.errors import ConfigError


@pytest.fixture
def config(overrides: list[str]) -> RunConfig:
    return compose([*overrides, "model.d_model=32", "model.num_heads=2", "training.batch_size=8"])


@pytest.fixture
def data(config: RunConfig) -> RunData:
    return prepare_data(resolve(config).data)


@pytest.mark.long
def test_a_missing_multiplier_passes_a_lenient_check_and_shows_in_the_change(
    config: RunConfig, data: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_mup.trust(tmp_path / "settings", monkeypatch)
    node = option_node(config, "mup")
    wrong = node | {"_target_": "broken_mup.MuPWithout", "without": "hidden_lr"}
    right, broken = (
        fit_slopes(measure(config, param, data, [32, 256], steps=2, batch_size=8, seeds=3))
        for param in (node, wrong)
    )
    for slopes in (right, broken):
        for kind in KINDS:
            if kind != LOGITS:  # they shrink at initialization
                assert abs(slopes[kind, "end"].value) < 0.25, "lenient: a few updates"
    assert broken[FFN, "change"].trend(0.2) == "grows"
    assert right[FFN, "change"].trend(0.2) != "grows"
    assert broken[FFN, "change"].value > right[FFN, "change"].value + 0.5


def test_the_smallest_width_is_the_base_shape(config: RunConfig, data: RunData) -> None:
    sizes = [
        measure(config, option_node(config, name), data, [16, 32], steps=1, batch_size=2, seeds=2)
        for name in ("standard", "mup", "completep")
    ]
    assert sizes[0][16] == sizes[1][16] == sizes[2][16]
    assert sizes[0][32] != sizes[1][32]


def test_settings_that_give_no_slope_are_refused(config: RunConfig) -> None:
    for widths in ([32], [32, 40], [0, 32], [64, 64]):
        with pytest.raises(ConfigError, match=r"demo\.widths=.*multiples of the width of a h"):
            check_demo_settings(config, widths, 1, 8, 3)
    with pytest.raises(ConfigError, match=r"demo\.seeds=1: expected 2 or more"):
        check_demo_settings(config, [16, 32], 1, 8, 1)
    with pytest.raises(ConfigError, match=r"demo\.steps=0: expected 1 or more"):
        check_demo_settings(config, [16, 32], 0, 8, 2)
    with pytest.raises(ConfigError, match=r"demo\.batch_size=9: expected 1 to training\.batch_s"):
        check_demo_settings(config, [16, 32], 1, 9, 2)
    with pytest.raises(ConfigError, match=r"demo\.params=mupp: expected one of completep, mup"):
        option_node(config, "mupp")


def test_settings_of_the_chosen_option_are_kept(overrides: list[str]) -> None:
    chosen = compose([*overrides, "model.param=completep", "model.param.alpha=0.6"])
    assert option_node(chosen, "completep")["alpha"] == 0.6
    assert option_node(chosen, "mup")["_target_"].endswith("MuP")


@pytest.mark.long
def test_the_report_names_what_grows(config: RunConfig) -> None:
    demo = coord_check(config=config, params=["standard", "mup"], widths=[32, 128], steps=2,
                       batch_size=4, seeds=2, tolerance=0.2)  # fmt: skip
    answer, slopes, sizes = demo.sections
    assert [text.partition(".")[0] for text in answer.text[:2]] == ["standard", "mup"]
    assert "Shrinking with the width at initialization: logits." in answer.text[1]
    assert len(slopes.rows) == len(sizes.rows) == 2 * len(KINDS)
    assert sizes.columns[-1] == "width 128" and sizes.figure is not None
