"""Seeds of a study serve one purpose each, and a seed that is pinned stays or is refused."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
from designs import a_design

from lmlab.config.compose import compose
from lmlab.config.rules import LARGEST_SEED
from lmlab.design.comparison import FIRST_REPLICATE_SEED, FIRST_TUNING_SEED
from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.design.run_keys import run_seeds
from lmlab.design.study_checks import check_study
from lmlab.design.study_seeds import other_seed
from lmlab.errors import ConfigError

FIXED: dict[str, Any] = {"lr": "fixed"}


@functools.cache
def composed(*overrides: str) -> dict[str, Any]:
    return compose(overrides).as_dict()


def submit(
    *overrides: str, arms: tuple[tuple[str, ...], ...] = ((), ()), **design: Any
) -> Manifest:
    """Check a study of two arms as its launcher does, and return its manifest."""
    declared = a_design(**design)
    texts = [[*overrides, *own, f"model.norm={norm}", "logger=none"]
             for own, norm in zip(arms, ("rms", "post"), strict=True)]  # fmt: skip
    configs = [composed(*each) for each in texts]
    seed = f"seed={other_seed(configs[0]['seed'])}"
    held = check_study(declared, configs, [composed(*each, seed) for each in texts])
    manifest = Manifest("s", "", configs, ["a", "b"], [[], []], declared)
    return manifest.with_held_seeds(held)


def seeds_of(manifest: Manifest, arm: str = "a") -> list[tuple[int, int]]:
    """The seeds of initialization and data of an arm's judged runs."""
    return [
        run_seeds(manifest.job_config(Job(arm, None, seed)))
        for seed in manifest.evaluation_seeds(arm)
    ]


@pytest.mark.long
@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], [(0, 0), (1, 1), (2, 2)]),
        (["seeds.init=0"], [(0, 0), (0, 1), (0, 2)]),
        (["seeds.init=7"], [(7, 0), (7, 1), (7, 2)]),
        (["seeds.data=0"], [(0, 0), (1, 0), (2, 0)]),
        (["seed=4", "seeds.data=4"], [(4, 4), (5, 4), (6, 4)]),
        (["seed=4", "seeds.data=0"], [(4, 0), (5, 0), (6, 0)]),
        (["seeds={init:0}"], [(0, 0), (0, 1), (0, 2)]),
        (["seeds.init=${seed}"], [(0, 0), (1, 1), (2, 2)]),
        (["seeds.data=0", "seeds.init=${seed}"], [(0, 0), (1, 0), (2, 0)]),
        ([f"seed={LARGEST_SEED - 2}", f"seeds.init={LARGEST_SEED - 2}"],
         [(LARGEST_SEED - 2, LARGEST_SEED - 2 + i) for i in range(3)]),
    ],
)  # fmt: skip
def test_a_pinned_seed_stays_in_all_runs(
    overrides: list[str], expected: list[tuple[int, int]]
) -> None:
    manifest = submit(*overrides, num_seeds=3)
    assert seeds_of(manifest) == seeds_of(manifest, "b") == expected
    restored = Manifest.from_dict(json.loads(json.dumps(manifest.as_dict())))
    assert (seeds_of(restored), restored.id) == (expected, manifest.id)
    tuned = run_seeds(manifest.job_config(Job("a", 0.01, FIRST_TUNING_SEED)))
    assert tuned not in expected
    is_held = [len({seeds[i] for seeds in expected}) == 1 for i in (0, 1)]
    assert ("initialization fixed" in manifest.held_seeds_note) == is_held[0]
    assert ("order of the data fixed" in manifest.held_seeds_note) == is_held[1]


@pytest.mark.long
def test_samples_keep_their_pinned_seed() -> None:
    content = submit("seeds.sampling=0", num_seeds=3).job_config(Job("a", None, 2))
    assert content["seeds"] == {"init": 2, "data": 2, "sampling": 0}


@pytest.mark.long
def test_only_an_ambiguous_pin_changes_the_id_of_a_study() -> None:
    plain = submit("seed=3")
    assert "held_seeds" not in plain.as_dict()
    assert "held_seeds" not in submit("seed=3", "seeds.init=7").as_dict()
    assert submit("seed=3", "seeds.init=3").id != plain.id


@pytest.mark.long
@pytest.mark.parametrize(
    ("overrides", "design", "message"),
    [
        (["seed=995"], {"num_seeds": 10}, "seeds up to 1004 overlap with those that tune"),
        (["seed=995"], {"num_seeds": 5, "extra_seeds": 5}, "seeds up to 1004 overlap"),
        (["seed=1500"], {}, "overlap with those that tune"),
        (["seed=1500"], FIXED, "overlap with those that tune the learning rate, 1000 to 1999, in "
         "this study or in one before"),
        ([], {"num_tuning_seeds": 1001}, "design.num_tuning_seeds=1001: expected at most 1000"),
        ([], {"num_seeds": 1001}, "overlap"),
        (["seed=2000"], {"num_seeds": 2001, "replicate": "again"}, "expected at most 2000"),
        ([f"seed={LARGEST_SEED - 5}"], {"replicate": "again"}, "the last seed of the study"),
        (["seeds.init=7", "seeds.data=8"], {}, "all seeds of a train the same run"),
        (["seeds.init=0", "seeds.data=0"], {}, "all seeds of a train the same run"),
        (["seeds={init:0,data:0,sampling:0}"], {}, "all seeds of a train the same run"),
        (["seeds.init=${seeds.data}", "seeds.data=0"], {}, "all seeds of a train the same run"),
        # One seed judges and one tunes: they would be one run.
        (["seeds.init=7", "seeds.data=8"], {"num_seeds": 1, "num_tuning_seeds": 1}, "the same run"),
        (["optim.weight_decay=${seed}"], {}, "optim.weight_decay: expected a value that does not "
         "depend on seed"),
    ],
)  # fmt: skip
def test_other_seeds_are_refused(
    overrides: list[str], design: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        submit(*overrides, **design)
    assert message in str(caught.value)
    assert str(caught.value).count("\n") <= 1, "a line, and one of help"


@pytest.mark.long
def test_all_arms_have_the_seeds_of_the_study() -> None:
    with pytest.raises(
        ConfigError, match=r"design\.arms\.b: expected the seeds of a, found seed=5"
    ):
        submit(arms=((), ("seed=5",)))
    with pytest.raises(ConfigError, match=r"found seeds\.init=3, seeds\.data=0"):
        submit(arms=((), ("seeds.init=3",)))
    with pytest.raises(ConfigError, match=r"design\.arms\.b: expected the seeds of a"):
        submit(arms=((), ("seeds.init=0",)))  # equal numbers, but one of them is held


def test_a_study_of_one_run_may_pin_both_seeds() -> None:
    manifest = submit("seeds.init=7", "seeds.data=8", num_seeds=1, **FIXED)
    assert seeds_of(manifest) == [(7, 8)]


def test_the_ranges_do_not_meet() -> None:
    manifest = submit("seed=0", num_seeds=1000, replicate="again")
    judged = {seed for arm in ("a", "again") for seed in manifest.evaluation_seeds(arm)}
    tuned = set(range(FIRST_TUNING_SEED, FIRST_REPLICATE_SEED))
    assert len(judged) == 2000 and not judged & tuned
