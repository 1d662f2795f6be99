"""A sweep trains each run once, keeps arms apart, and splits by study."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from lmlab.config.compose import compose
from lmlab.design.manifest import Manifest
from lmlab.design.sweep_jobs import split_sweep
from lmlab.errors import ConfigError


@functools.cache
def composed(*overrides: str) -> dict[str, Any]:
    return compose([*overrides, "logger=none"]).as_dict() | {"design": None}


def with_seed(content: dict[str, Any], seed: int) -> dict[str, Any]:
    return content | {"seed": seed, "seeds": content["seeds"] | {"init": seed, "data": seed}}


def split(*jobs: list[str]) -> tuple[list[Manifest], list[str]]:
    contents = [composed(*job) for job in jobs]
    return split_contents(contents, *jobs)


def split_contents(
    contents: list[dict[str, Any]], *jobs: list[str]
) -> tuple[list[Manifest], list[str]]:
    arms = [content["arm"] for content in contents]
    return split_sweep(Manifest("s", "command", contents, arms, [list(job) for job in jobs]))


def names(manifest: Manifest) -> list[tuple[str, int]]:
    return [(name, arm["seed"]) for name, arm in zip(manifest.names, manifest.arms, strict=True)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("optim.lr=1e-3", "optim.lr=0.001"),
        ("optim.weight_decay=0", "optim.weight_decay=0.0"),
        ("model.tie_embeddings=true", "model.tie_embeddings=yes"),
        ("samples.count=1", "samples.count=2"),
        ("training.log_every=5", "training.log_every=10"),
        ("checkpoint.every_steps=50", "checkpoint.every_steps=100"),
        ("validation.batch_size=8", "validation.batch_size=16"),
        ("runtime.preflight=warn", "runtime.preflight=off"),
        ("seeds.sampling=1", "seeds.sampling=2"),
    ],
)
def test_what_trains_the_same_run_is_one_run(one: str, other: str) -> None:
    jobs = [[key, f"seed={seed}"] for key in (one, other) for seed in (0, 1)]
    contents = [with_seed(composed(key), seed) for key in (one, other) for seed in (0, 1)]
    (manifest,), notes = split_contents(contents, *jobs)
    assert sorted(seed for _, seed in names(manifest)) == [0, 1]
    assert len(set(manifest.names)) == 1
    assert notes


def test_other_seeds_and_other_settings_are_other_runs() -> None:
    (manifest,), notes = split(["seeds.data=1"], ["seeds.data=2"], ["optim.lr=0.1"])
    assert len(manifest.arms) == 3 and len(set(manifest.names)) == 2
    assert not notes


def test_pinned_seeds_make_one_run() -> None:
    pinned = ["seeds.init=3", "seeds.data=3"]
    (manifest,), _ = split([*pinned, "seed=0"], [*pinned, "seed=1"])
    assert len(manifest.arms) == 1


@pytest.mark.parametrize(
    ("one", "other", "key"),
    [
        ("optim.lr=1e-3", "optim.lr=1e-2", "optim.lr (0.001 and 0.01)"),
        ("model.norm=rms", "model.norm=post", "model.norm ("),
        ("data=toystories", "data=tinystories", "data ("),
        ("runtime.device=cpu", "runtime.device=cuda", "runtime.device (cpu and cuda)"),
    ],
)
def test_one_arm_name_for_two_configurations_is_refused(one: str, other: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        split(["arm=same", one], ["arm=same", other])
    assert str(caught.value).startswith("arm=same: ") and key in str(caught.value)


def test_each_study_has_its_own_manifest() -> None:
    jobs = [[f"study={study}", f"seed={seed}"] for study in ("g1", "g2") for seed in (0, 1)]
    manifests, notes = split(*jobs)
    assert [manifest.study for manifest in manifests] == ["g1", "g2"]
    assert [len(manifest.arms) for manifest in manifests] == [2, 2]
    assert not notes
    elsewhere, _ = split(["output_root=/tmp/a"], ["output_root=/tmp/b"])
    assert len(elsewhere) == 2


def test_notes_write_values_as_they_are_typed() -> None:
    jobs = [["samples.top_k=null"], ["samples.top_k=5"]]
    _, notes = split(*jobs)
    assert any("samples.top_k=null applies" in note for note in notes), notes
