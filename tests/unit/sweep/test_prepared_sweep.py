"""What every launcher prepares: widths, fairness, the costs on disk."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from designs import a_design
from token_forms import END, FORMS

from lmlab.config.compose import compose
from lmlab.design.manifest import Manifest
from lmlab.errors import ConfigError
from lmlab.sweep.prepared_sweep import PreparedSweep, match_parameters

ManifestOf = Callable[..., Manifest]


@pytest.fixture
def manifest_of(overrides: list[str]) -> ManifestOf:
    def build(arm: list[str], **changes: Any) -> Manifest:
        arms = [
            compose([*overrides, *own, "study=s"]).as_dict()
            for own in (["model.d_ff=64"], ["model.d_ff=64", *arm])
        ]
        design = a_design(arms={"a": [], "b": arm}, lr="fixed", **changes)
        return Manifest("s", "", arms, ["a", "b"], [[], arm], design)

    return build


def test_a_fair_study_stores_its_costs_and_prints_its_power(
    manifest_of: ManifestOf, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = PreparedSweep.from_manifest(manifest_of(["model.norm=post"]))
    sweep.check_fairness()
    printed = capsys.readouterr().err.splitlines()
    assert printed[0].split()[:4] == ["arm", "parameters", "forward", "FLOPs/token"]
    assert [line.split()[0] for line in printed[1:3]] == ["a", "b"]
    assert "with probability 80%" in printed[-2] and "t test" in printed[-1]
    stored = sweep.folder.arm_costs()
    assert list(stored) == ["a", "b"]
    assert stored["a"]["d_ff"] == 64


def test_a_study_that_was_started_without_confirmed_rates_continues_in_its_folder(
    manifest_of: ManifestOf,
) -> None:
    manifest = manifest_of(["model.norm=post"])
    design = a_design(arms={"a": [], "b": ["model.norm=post"]})
    before = dataclasses.replace(manifest, comparison=design)
    today = dataclasses.replace(
        manifest, comparison=dataclasses.replace(design, confirm_rate="auto")
    )
    assert PreparedSweep.from_manifest(today).manifest == today
    started = PreparedSweep.from_manifest(before)
    started.folder.write_manifest(before)
    resumed = PreparedSweep.from_manifest(today)
    assert (resumed.manifest, resumed.folder) == (before, started.folder)


def test_an_unfair_study_is_refused_and_stores_nothing(manifest_of: ManifestOf) -> None:
    sweep = PreparedSweep.from_manifest(manifest_of(["training.steps=21"]))
    with pytest.raises(ConfigError, match="cannot be compared fairly"):
        sweep.check_fairness()
    assert sweep.folder.arm_costs() == {}


def test_an_allowed_difference_is_printed(
    manifest_of: ManifestOf, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = manifest_of(["training.steps=21"], allow=["tokens", "batches"])
    PreparedSweep.from_manifest(manifest).check_fairness()
    assert "allowed: b: training tokens 1,344, but 1,280 in a" in capsys.readouterr().err


def test_widths_are_solved_only_for_a_study_that_wants_it(manifest_of: ManifestOf) -> None:
    gated = ["model.ffn=silu", "model.d_ff=64"]
    widths = [
        [
            arm["model"]["d_ff"]
            for arm in match_parameters(manifest_of(gated, solve_d_ff=solve)).arms
        ]
        for solve in (False, True)
    ]
    assert widths == [[64, 64], [64, 96]]
    kept = match_parameters(manifest_of(gated, solve_d_ff=True, keep_d_ff=["b"]))
    assert [arm["model"]["d_ff"] for arm in kept.arms] == [64, 64]


def test_a_plain_sweep_prepares_its_texts_without_counting(
    overrides: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = Manifest("s", "", [compose(overrides).as_dict()], ["a"], [[]])
    sweep = PreparedSweep.from_manifest(manifest)
    sweep.check_fairness()
    assert capsys.readouterr().err.count("parameters") == 0
    assert sweep.folder.arm_costs() == {}


def test_the_assumed_noise_is_converted_to_the_unit_of_the_metric(
    manifest_of: ManifestOf, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = manifest_of(["model.norm=post"], metric="bits_per_byte")
    sweep = PreparedSweep.from_manifest(manifest)
    sweep.check_fairness()
    line = capsys.readouterr().err.splitlines()[-2]
    data = sweep.data.get(sweep.configs[0])
    texts = "".join(path.read_text("utf-8") for path in data.corpus.valid.paths)
    num_bytes = len(texts.replace("<|endoftext|>", "").encode())
    sd = 0.01 / math.log(2) * len(data.valid.tokens) / num_bytes
    assert f"vary by {sd:.4f} bits per byte" in line
    assert "assumed: scale.expected_sd=0.01 nats per token" in line


def test_bits_per_byte_need_the_bytes_of_the_text(tmp_path: Path) -> None:
    """Ids alone do not tell them; data.bytes_per_token does."""
    for bytes_per_token in ("null", "4"):
        words = [
            "study=s", "data=tokens", f"data.train={FORMS['nanogpt'](tmp_path)}",
            f"data.end_id={END}", "tokenizer=ids", "model.vocab_size=1000",
            "model.context_length=16", f"data.bytes_per_token={bytes_per_token}",
            f"output_root={tmp_path / 'outputs'}",
        ]  # fmt: skip
        arms = [compose([*words, *own]).as_dict() for own in ([], ["model.norm=post"])]
        design = a_design(arms={"a": [], "b": []}, lr="fixed", metric="bits_per_byte")
        sweep = PreparedSweep.from_manifest(Manifest("s", "", arms, ["a", "b"], [[], []], design))
        if bytes_per_token == "4":
            sweep.check_fairness()
            continue
        with pytest.raises(ConfigError, match=r"design\.metric=bits_per_byte: the bytes of .* a "):
            sweep.check_fairness()
