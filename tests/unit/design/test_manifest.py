"""Which runs a study requires as its outcomes arrive, and with which configuration."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from typing import Any

import pytest
from designs import a_design

from lmlab.design.comparison import Comparison
from lmlab.design.job import Job
from lmlab.design.manifest import Manifest, tuning_outcomes
from lmlab.design.matched_tokens import match_tokens
from lmlab.design.search import TrialOutcome
from lmlab.errors import DataError


def content(lr: float = 3e-3, **changes: Any) -> dict[str, Any]:
    """The settings of a run that the manifest reads or changes."""
    return {
        "arm": "", "seed": 7, "seeds": {"init": 7, "data": 7, "sampling": 99},
        "optim": {"lr": lr},
    } | changes  # fmt: skip


def a_manifest(design: Comparison | None = None, **changes: Any) -> Manifest:
    design = a_design(**changes) if design is None else design
    return Manifest("s", "cmd", [content(), content(1e-2)], ["a", "b"], [[], ["x=1"]], design)


def finish(job: Job, best: float = 1e-2) -> TrialOutcome:
    """A loss with its optimum at ``best`` that diverges at 30 times that rate."""
    assert job.lr is not None
    if job.lr > 30 * best:
        return TrialOutcome("diverged", None, 9.0)
    return TrialOutcome("done", 2 + 0.1 * math.log(job.lr / best) ** 2, 9.0)


def finish_everything(manifest: Manifest) -> dict[Job, TrialOutcome]:
    outcomes: dict[Job, TrialOutcome] = {}
    while fresh := [job for job in manifest.required_jobs(outcomes) if job not in outcomes]:
        outcomes |= {job: finish(job) for job in fresh}
    return outcomes


def test_a_plain_sweep_requires_every_run_at_once() -> None:
    manifest = Manifest("s", "", [content(), content(seed=8)], ["a", "a"], [[], []])
    assert manifest.required_jobs({}) == {
        Job("a", None, 7, 0): ["run"],
        Job("a", None, 8, 1): ["run"],
    }
    assert manifest.job_config(Job("a", None, 8, 1))["seed"] == 8


def test_a_run_gets_its_rate_and_seed_but_keeps_a_pinned_seed() -> None:
    manifest = a_manifest()
    before = copy.deepcopy(manifest.arms)
    config = manifest.job_config(Job("b", 0.02, 1001))
    assert config["arm"] == "b+lr-0.02"
    assert (config["optim"]["lr"], config["seed"]) == (0.02, 1001)
    assert config["seeds"] == {"init": 1001, "data": 1001, "sampling": 99}
    assert manifest.arms == before, "the frozen configurations did not change"


def test_at_a_fixed_rate_every_arm_and_the_replicate_run_on_their_own_seeds() -> None:
    manifest = a_manifest(lr="fixed", num_seeds=2, replicate="again", at_baseline_lr=False)
    required = manifest.required_jobs({})
    assert sorted(required) == [
        Job("a", 3e-3, 7), Job("a", 3e-3, 8), Job("again", 3e-3, 2007), Job("again", 3e-3, 2008),
        Job("b", 1e-2, 7), Job("b", 1e-2, 8),
    ]  # fmt: skip
    assert manifest.job_config(Job("again", 3e-3, 2007))["optim"] == {"lr": 3e-3}


def test_a_run_with_two_purposes_is_required_once() -> None:
    manifest = a_manifest(num_seeds=1)
    outcomes = finish_everything(manifest)
    required = manifest.required_jobs(outcomes)
    rate = manifest.judged_lr("a", outcomes)
    assert required[Job("a", rate, 7)] == ["judged", "baseline's lr"]
    assert "baseline's lr" in required[Job("b", rate, 7)]


def test_no_arm_is_judged_before_its_search_is_complete() -> None:
    manifest = a_manifest(num_seeds=2)
    outcomes: dict[Job, TrialOutcome] = {}
    while fresh := [job for job in manifest.required_jobs(outcomes) if job not in outcomes]:
        required = manifest.required_jobs(outcomes)
        judged = {job.arm for job, purposes in required.items() if "judged" in purposes}
        assert judged == {arm for arm in "ab" if manifest.judged_lr(arm, outcomes) is not None}
        outcomes[fresh[0]] = finish(fresh[0])
    assert manifest.judged_lr("a", outcomes) == pytest.approx(1e-2, rel=0.02)
    tuning = {job.seed for job, purposes in required.items() if "search" in purposes}
    judging = {job.seed for job, purposes in required.items() if "judged" in purposes}
    assert (tuning, judging) == ({1000, 1001}, {7, 8}), "no seed both tunes and judges"


def test_an_arm_in_a_steep_basin_is_confirmed_before_it_is_judged() -> None:
    """Arm b is in doubt, because training diverges just above its best rate; arm a is not."""
    manifest = a_manifest(num_seeds=2, confirm_rate="auto", at_baseline_lr=False)

    def steep(job: Job) -> TrialOutcome:
        is_over = job.arm == "b" and job.lr is not None and job.lr > 1.1e-2
        return TrialOutcome("diverged", None, 9.0) if is_over else finish(job)

    outcomes: dict[Job, TrialOutcome] = {}
    while fresh := [job for job in manifest.required_jobs(outcomes) if job not in outcomes]:
        outcomes |= {job: steep(job) for job in fresh}
    trials = {arm: tuning_outcomes(arm, outcomes) for arm in "ab"}
    assert manifest.lr_search("a").confirmation(trials["a"]) is None
    found = manifest.lr_search("b").confirmation(trials["b"])
    assert found is not None and found.rate == manifest.judged_lr("b", outcomes)
    required = manifest.required_jobs(outcomes)
    for rate in found.rates:
        assert all("search" in required[Job("b", rate, seed)] for seed in (1000, 1001))
    del outcomes[Job("b", found.rates[0], 1001)]
    assert manifest.judged_lr("b", outcomes) is None
    assert Job("b", found.rates[0], 1001) in manifest.required_jobs(outcomes)
    assert not manifest.is_untrainable("b", outcomes)


def test_extra_seeds_go_to_undecided_arms_and_the_baseline() -> None:
    manifest = a_manifest(lr="fixed", num_seeds=2, extra_seeds=3, at_baseline_lr=False,
                          arms={"a": [], "b": []}, replicate="again")  # fmt: skip
    outcomes = finish_everything(manifest)
    more = set(manifest.required_jobs(outcomes, undecided=["b"])) - set(outcomes)
    assert {(job.arm, job.seed) for job in more} == {
        (arm, seed) for arm in "ab" for seed in (9, 10, 11)
    }


def test_the_id_depends_on_everything_but_the_command() -> None:
    manifest = a_manifest()
    assert dataclasses.replace(manifest, command="other").id == manifest.id
    assert dataclasses.replace(manifest, arms=[content(), content(2e-2)]).id != manifest.id
    assert a_manifest(a_design(margin=0.03)).id != manifest.id


def test_the_id_of_a_kept_manifest_does_not_change() -> None:
    """The folder of a study on disk is named by it; the value is that of an earlier version."""
    assert a_manifest().id == "18df43c5"


def test_a_manifest_survives_a_file_and_refuses_another_format() -> None:
    manifest = a_manifest(replicate="again")
    stored = json.loads(json.dumps(manifest.as_dict()))
    assert Manifest.from_dict(stored) == manifest
    with pytest.raises(DataError, match="format_version=2: expected 1"):
        Manifest.from_dict(stored | {"format_version": 2})
    names = stored["names"]
    with pytest.raises(DataError, match=f"names: expected {names[-1]}, an arm of the study"):
        Manifest.from_dict(stored | {"names": [*names[:-1], "other"]})
    with pytest.raises(DataError, match="as many arms, names and overrides, found"):
        Manifest.from_dict(stored | {"overrides": stored["overrides"][:-1]})


def test_matched_steps_process_as_many_tokens_as_the_baseline() -> None:
    def settings(batch_size: int, steps: int, warmup: int) -> dict[str, Any]:
        return {
            "training": {"batch_size": batch_size, "steps": steps, "log_every": 10},
            "model": {"context_length": 16}, "schedule": {"warmup_steps": warmup},
            "validation": {"every_steps": 50}, "checkpoint": {"every_steps": None},
        }  # fmt: skip

    baseline, arm = settings(4, 1000, 0), settings(16, 123, 9)
    matched = match_tokens(arm, baseline)
    assert matched["training"] == {"batch_size": 16, "steps": 250, "log_every": 2}
    assert matched["schedule"] == {"warmup_steps": 0}
    assert matched["validation"] == {"every_steps": 12}
    assert matched["checkpoint"] == {"every_steps": None}, "an interval that is off stays off"
    assert match_tokens(baseline, baseline) == baseline
    one = match_tokens(settings(4096, 1, 0), baseline)["training"]
    assert (one["steps"], one["log_every"]) == (1, 1), "an interval of zero steps does not exist"


def test_equal_tokens_replace_the_budget_of_an_arm() -> None:
    training = {"steps": 10, "batch_size": 4, "flops": 1e9, "tokens": None}
    rest = {"model": {"context_length": 8}, "schedule": {}, "validation": {}, "checkpoint": {}}
    content, baseline = ({"training": training | {"steps": n}, **rest} for n in (10, 30))
    matched = match_tokens(content, baseline)
    assert (matched["training"]["steps"], matched["training"]["flops"]) == (30, None)


def test_configured_rates_are_never_compared_at_the_baselines_rate() -> None:
    manifest = a_manifest(lr="fixed", num_seeds=2, at_baseline_lr=True)
    purposes = {one for found in manifest.required_jobs({}).values() for one in found}
    assert purposes == {"judged"}


def test_shares_and_caps_leave_the_tokenizer_as_it_is() -> None:
    def metric(*data: dict[str, Any]) -> str:
        arms = [content(data=one, tokenizer={"_target_": "lmlab.bpe"}) for one in data]
        names = [str(number) for number in range(len(arms))]
        return Manifest("s", "cmd", arms, names, [[] for _ in arms], None).metric

    target = {"_target_": "lmlab.data.mixture.Mixture"}
    books = {"_target_": "x", "train": "a.txt"}
    mixtures = [
        {**target, "sources": {"a": {**books, "tokens": tokens}}, "weights": {"a": weight}}
        for tokens, weight in ((None, 1), (100, 1), (None, 2))
    ]
    assert metric(*mixtures) == metric(books, {**books, "tokens": 5}) == "loss"
    other = {**target, "sources": {"a": {**books, "train": "b.txt"}}, "weights": {"a": 1}}
    assert metric(mixtures[0], other) == metric(books, {**books, "train": "c"}) == "bits_per_byte"
