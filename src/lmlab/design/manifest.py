"""A study as it was submitted: every configuration frozen, and which runs it needs."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from lmlab.design.comparison import FIRST_REPLICATE_SEED, FIRST_TUNING_SEED, METRICS, Comparison
from lmlab.design.search import Search, TrialOutcome
from lmlab.errors import DataError
from lmlab.storage.io import hash_json

FORMAT_VERSION = 1
PURPOSES = ("search", "judged", "baseline's lr", "run")


@dataclasses.dataclass(frozen=True, order=True)
class Job:
    """One run that a study needs.

    Attributes:
        arm: its name in the study.
        lr: peak learning rate where the study chose it; None as configured.
        seed: of initialisation, data order and sampling.
        number: position in a plain sweep, where arm and seed may not tell runs apart.
    """

    arm: str
    lr: float | None
    seed: int
    number: int = 0

    @property
    def name(self) -> str:
        """A name for people and files."""
        rate = "" if self.lr is None else f"+lr-{self.lr:g}"
        return f"{self.arm}{rate}/seed{self.seed}"


Outcomes = Mapping[Job, TrialOutcome]


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A study or sweep, frozen when it was submitted; later edits of files do not change it.

    Attributes:
        study: name of the study.
        command: what was typed.
        arms: the resolved configuration of each arm (of each run, for a plain sweep).
        names: of the arms, in the same order.
        overrides: what makes each arm, as typed.
        comparison: the declaration of the study; None for a plain sweep.
    """

    study: str
    command: str
    arms: list[dict[str, Any]]
    names: list[str]
    overrides: list[list[str]]
    comparison: Comparison | None = None

    @property
    def id(self) -> str:
        """Eight hex digits of what was submitted, the command aside."""
        content = self.as_dict()
        del content["command"]
        return hash_json(content)[:8]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a file."""
        return {
            "format_version": FORMAT_VERSION,
            "study": self.study,
            "command": self.command,
            "names": self.names,
            "overrides": self.overrides,
            "comparison": None if self.comparison is None else self.comparison.as_dict(),
            "arms": self.arms,
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Manifest:
        """The inverse of :meth:`as_dict`. Raises :class:`DataError` for other content."""
        if content.get("format_version") != FORMAT_VERSION:
            raise DataError(f"manifest of format {content.get('format_version')}: rerun the study")
        declared = content["comparison"]
        return cls(
            study=content["study"],
            command=content["command"],
            arms=content["arms"],
            names=content["names"],
            overrides=content["overrides"],
            comparison=None if declared is None else Comparison(**declared),
        )

    @property
    def metric(self) -> str:
        """What runs are compared in, a key of their validation rows."""
        return "loss" if self.comparison is None else self.comparison.metric

    @property
    def unit(self) -> str:
        """Of the metric."""
        return METRICS[self.metric]

    def config_of(self, job: Job) -> dict[str, Any]:
        """The whole configuration of a job's run."""
        if self.comparison is None:
            return copy.deepcopy(self.arms[job.number])
        content = copy.deepcopy(self.arms[self.names.index(self._made_like(job.arm))])
        content["arm"] = job.arm
        if job.lr is not None:
            content["optim"]["lr"] = job.lr
            content["arm"] = f"{job.arm}+lr-{job.lr:g}"
        for name, seed in content["seeds"].items():
            if seed == content["seed"]:  # a seed that was pinned stays
                content["seeds"][name] = job.seed
        content["seed"] = job.seed
        return content

    def _made_like(self, arm: str) -> str:
        assert self.comparison is not None
        if arm == self.comparison.replicate:
            assert self.comparison.baseline is not None
            return self.comparison.baseline
        return arm

    def jobs(self, outcomes: Outcomes, undecided: Collection[str] = ()) -> dict[Job, list[str]]:
        """The runs that are needed, with their purposes, so far as the results tell.

        Args:
            outcomes: what the runs so far gave.
            undecided: arms whose first look left the verdict open, and that get more seeds.
        """
        wanted: dict[Job, list[str]] = {}
        if self.comparison is None:
            for number, (name, content) in enumerate(zip(self.names, self.arms, strict=True)):
                wanted[Job(name, None, content["seed"], number)] = ["run"]
            return wanted

        def want(job: Job, purpose: str) -> None:
            purposes = wanted.setdefault(job, [])
            if purpose not in purposes:
                purposes.append(purpose)

        design = self.comparison
        if design.lr == "search":
            for arm in design.arms:
                search = self.search(arm)
                for rate, seed in search.wanted(tried(arm, outcomes)):
                    want(Job(arm, rate, seed), "search")
        at_baseline = None if design.baseline is None else self.rate(design.baseline, outcomes)
        for arm in design.judged:
            own = self.rate(arm, outcomes)
            if own is not None:
                for seed in self.judging_seeds(arm, undecided):
                    want(Job(arm, own, seed), "judged")
            if design.at_baseline_lr and at_baseline is not None and arm in design.arms:
                for seed in self.judging_seeds(arm, undecided):
                    want(Job(arm, at_baseline, seed), "baseline's lr")
        return wanted

    def search(self, arm: str) -> Search:
        """The learning-rate search of an arm."""
        assert self.comparison is not None
        design = self.comparison
        return Search(
            start=self.arms[self.names.index(arm)]["optim"]["lr"],
            factor=design.lr_factor,
            edge_ratio=design.edge_ratio,
            seeds=[FIRST_TUNING_SEED + number for number in range(design.num_tuning_seeds)],
        )

    def rate(self, arm: str, outcomes: Outcomes) -> float | None:
        """The rate at which an arm is judged; None while its search goes on or found none."""
        assert self.comparison is not None
        like = self._made_like(arm)
        if self.comparison.lr == "fixed":
            return float(self.arms[self.names.index(like)]["optim"]["lr"])
        return self.search(like).best(tried(like, outcomes))

    def judging_seeds(self, arm: str, undecided: Collection[str] = ()) -> list[int]:
        """The seeds that judge an arm; the baseline has those of every arm."""
        assert self.comparison is not None
        design = self.comparison
        first = self.arms[self.names.index(self._made_like(arm))]["seed"]
        if arm == design.replicate:
            first += FIRST_REPLICATE_SEED
        needs_more = arm in undecided or (arm == design.baseline and bool(undecided))
        number = design.num_seeds + (design.extra_seeds if needs_more else 0)
        return [first + index for index in range(number)]


def tried(arm: str, outcomes: Outcomes) -> dict[tuple[float, int], TrialOutcome]:
    """The tuning runs of an arm by rate and seed."""
    return {
        (job.lr, job.seed): outcome
        for job, outcome in outcomes.items()
        if job.arm == arm
        and job.lr is not None
        and FIRST_TUNING_SEED <= job.seed < FIRST_REPLICATE_SEED
    }


def at_equal_tokens(content: dict[str, Any], baseline: dict[str, Any]) -> dict[str, Any]:
    """An arm's configuration with the steps at which it sees as many tokens as the baseline.

    Warm-up and the intervals of logging, validation and saving keep their tokens too.
    """
    changed = copy.deepcopy(content)
    ratio = _tokens_a_step(baseline) / _tokens_a_step(content)
    for section, key in _IN_STEPS:
        value = baseline[section].get(key)
        if value is not None and key in changed[section]:
            changed[section][key] = max(0 if key == "warmup_steps" else 1, round(value * ratio))
    return changed


_IN_STEPS: Sequence[tuple[str, str]] = (
    ("training", "steps"),
    ("training", "log_every"),
    ("schedule", "warmup_steps"),
    ("validation", "every_steps"),
    ("checkpoint", "every_steps"),
)


def _tokens_a_step(content: dict[str, Any]) -> int:
    return int(content["training"]["batch_size"]) * int(content["model"]["context_length"])
