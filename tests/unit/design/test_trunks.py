"""Which runs share their first updates, and where each starts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lmlab.config.compose import compose
from lmlab.design.trunks import (
    Branch,
    Sharer,
    family_key,
    plan_branches,
    run_key,
    shared_updates,
)
from lmlab.optim.lr_schedule import constant, cosine, wsd

WSD = functools.partial(wsd, warmup_steps=10, decay_fraction=0.2, min_lr_ratio=0.0)
COSINE = functools.partial(cosine, warmup_steps=10, min_lr_ratio=0.0)
CONSTANT = functools.partial(constant, warmup_steps=10)


def factors(schedule: Callable[..., float], steps: int) -> list[float]:
    return [schedule(step, total_steps=steps) for step in range(steps)]


def sharer(steps: int, schedule: Callable[..., float] = WSD, run: str = "", **state: Any) -> Sharer:
    return Sharer("family", run or f"{schedule} {steps}", factors(schedule, steps), **state)


def done(steps: int, *saved: int) -> Sharer:
    return sharer(steps, saved=saved, keeps=(), is_open=False, can_branch=False)


def starts(sharers: Sequence[Sharer]) -> dict[int, tuple[int, int]]:
    return {place: (one.trunk, one.step) for place, one in plan_branches(sharers).items()}


@pytest.mark.parametrize(
    ("trunk", "branch", "expected"),
    [
        (factors(WSD, 400), factors(WSD, 200), 161),  # the decay starts at the peak
        (factors(WSD, 200), factors(WSD, 400), 161),
        (factors(CONSTANT, 400), factors(CONSTANT, 200), 199),  # the last update is its own
        (factors(CONSTANT, 200), factors(CONSTANT, 400), 200),
        (factors(COSINE, 400), factors(COSINE, 200), 11),
        ([1.0, 1.0], [0.5, 1.0], 0),
        ([1.0], [], 0),
    ],
)
def test_updates_are_shared_while_the_rates_are_equal(
    trunk: list[float], branch: list[float], expected: int
) -> None:
    assert shared_updates(trunk, branch) == expected


def test_the_longest_run_is_the_trunk_of_the_others() -> None:
    found = plan_branches([sharer(200), sharer(800), sharer(400)])
    assert found == {0: Branch(1, 161, is_saved=False), 2: Branch(1, 321, is_saved=False)}


def test_shapes_of_a_decay_share_a_trunk() -> None:
    shapes = [functools.partial(WSD, decay_shape=shape) for shape in ("linear", "sqrt", "1-sqrt")]
    assert starts([sharer(200, shape) for shape in shapes]) == {1: (0, 161), 2: (0, 161)}


def test_runs_with_other_warmups_have_trunks_of_their_own() -> None:
    later = functools.partial(WSD, warmup_steps=20)
    found = starts([sharer(200), sharer(400), sharer(200, later), sharer(800, later)])
    assert found == {0: (1, 161), 2: (3, 161)}


def test_other_families_and_second_trainings_of_one_run_share_nothing() -> None:
    other = Sharer("other", "run", factors(WSD, 400))
    assert not plan_branches([sharer(200), other])
    assert not plan_branches([sharer(200, run="same"), sharer(200, run="same")])
    assert not plan_branches([Sharer("family", "a", []), Sharer("family", "b", [1.0])])


def test_a_finished_run_is_branched_from_where_it_saved() -> None:
    assert starts([done(200, 100, 200), sharer(400)]) == {1: (0, 100)}
    assert starts([done(200, 200), sharer(400)]) == {}, "it saved in its decay only"
    # The longer run starts from the finished one, and is the trunk of the next.
    assert starts([done(200, 100), sharer(400), sharer(800)]) == {1: (2, 321), 2: (0, 100)}


def test_a_run_that_resumes_keeps_later_steps_only() -> None:
    resuming = sharer(800, saved=(100, 300), can_branch=False)
    assert starts([sharer(200), sharer(400), resuming]) == {0: (2, 100), 1: (2, 321)}


def test_a_running_trunk_keeps_what_it_was_told_when_it_started() -> None:
    running = sharer(800, keeps=(161,), can_branch=False)
    assert starts([sharer(400), running]) == {0: (1, 161)}
    assert starts([sharer(200), sharer(400), running]) == {0: (2, 161), 1: (2, 161)}
    assert not plan_branches([sharer(150), running])


def test_a_trunk_that_starts_late_promises_no_earlier_step() -> None:
    found = starts([sharer(100), done(800, 300), sharer(1600)])
    assert found == {2: (1, 300)}, "the run of 100 steps trains alone"


def test_families_differ_in_all_but_steps_and_schedule() -> None:
    base = ["schedule=wsd", "training.steps=200"]
    key = family_key(compose(base).as_dict())
    for same in ("training.steps=400", "schedule.decay_shape=sqrt", "schedule=constant",
                 "arm=other", "training.tokens=1e6", "checkpoint.keep_steps=[3]"):  # fmt: skip
        assert family_key(compose([*base[:1], same]).as_dict()) == key, same
    for other in ("optim.lr=0.1", "seed=1", "validation.every_steps=7", "training.batch_size=8",
                  "model.norm=post", "runtime.threads=2", "training.ema=0.9"):  # fmt: skip
        assert family_key(compose([*base, other]).as_dict()) != key, other
    assert run_key(compose(base).as_dict()) != run_key(compose(["schedule=wsd"]).as_dict())
    assert run_key(compose([*base, "arm=b"]).as_dict()) == run_key(compose(base).as_dict())
