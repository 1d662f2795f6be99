"""A study as it was submitted: frozen configurations, and the runs that they require."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Collection, Mapping
from typing import Any

from lmlab.config.deprecated_keys import upgrade
from lmlab.config.mixture_settings import text_settings
from lmlab.design.comparison import FIRST_REPLICATE_SEED, FIRST_TUNING_SEED, METRICS, Comparison
from lmlab.design.confirmation import ConfirmedSearch
from lmlab.design.factorial import Factorial
from lmlab.design.factorial_rates import checking_jobs, has_no_model, predicted_rate
from lmlab.design.identifying_settings import identifying_settings
from lmlab.design.job import Job, Outcomes
from lmlab.design.ladder import Ladder
from lmlab.design.ladder_runs import BRACKET, judged_rate, required_on_ladder
from lmlab.design.leave_one_out import LeaveOneOut
from lmlab.design.pruning import ALWAYS, Pruning
from lmlab.design.search import LRSearch, TrialOutcome
from lmlab.design.study_seeds import describe_held
from lmlab.errors import DataError
from lmlab.storage.io import hash_json

FORMAT_VERSION = 1
_FIXED_TOKENIZERS = ("byte_level", "saved")  # they learn nothing from the training text
_NEGLIGIBLE = 0.025  # of the margin: excess loss at a searched rate that needs no further runs
PURPOSES = ("search", "judged", "baseline's lr", "run")


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A study or sweep, frozen at submission; editing files later does not change it.

    Attributes:
        study: name of the study.
        command: the command line that submitted it.
        arms: resolved configuration of each arm (for a plain sweep, of each run).
        names: names of the arms, in the same order. An arm of a ladder has one for each rung.
        overrides: overrides of each arm, as typed.
        comparison: the declaration of a study of one size; None for a ladder and a plain sweep.
        ladder: the declaration of a ladder.
        factorial: the declaration of a factorial study, whose cells ``comparison`` has as arms.
        leave_one_out: that of a study that takes a stack of changes apart, likewise.
        hydra: the callbacks and the log level that its jobs get; None for none of these.
        held_seeds: names of the seeds of a study that are held fixed at the number of its first
            seed. Those held at another number show in the configurations of the arms.
    """

    study: str
    command: str
    arms: list[dict[str, Any]]
    names: list[str]
    overrides: list[list[str]]
    comparison: Comparison | None = None
    hydra: dict[str, Any] | None = None
    held_seeds: tuple[str, ...] = ()
    ladder: Ladder | None = None
    factorial: Factorial | None = None
    leave_one_out: LeaveOneOut | None = None

    @property
    def is_plain(self) -> bool:
        """Whether this is a plain sweep, which declares no study."""
        return self.comparison is None and self.ladder is None

    @functools.cached_property
    def rungs(self) -> list[Manifest]:
        """The rungs of a ladder from the lowest, each as a study of one size."""
        assert self.ladder is not None
        number = len(self.ladder.arms)
        return [
            dataclasses.replace(
                self,
                ladder=None,
                comparison=self.ladder.on_rung(rung),
                arms=self.arms[rung * number : (rung + 1) * number],
                names=self.names[rung * number : (rung + 1) * number],
                overrides=self.overrides[rung * number : (rung + 1) * number],
            )
            for rung in range(len(self.ladder.rungs))
        ]

    def _rung_of(self, arm: str) -> Manifest:
        """Return the rung of an arm of a ladder."""
        assert self.ladder is not None
        return self.rungs[self.ladder.cells[arm][0]]

    @property
    def id(self) -> str:
        """Eight hex digits that identify the content; command and callbacks are no part of it."""
        content = self.as_dict()
        del content["command"]
        content.pop("hydra", None)
        content["arms"] = [identifying_settings(arm) for arm in self.arms]
        if content["comparison"] is not None:
            for key in ("earlier_looks", "earlier_arms", "dropped_arms"):
                content["comparison"].pop(key, None)
        return hash_json(content)[:8]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for ``manifest.json``."""
        return {
            "format_version": FORMAT_VERSION,
            "study": self.study,
            "command": self.command,
            "names": self.names,
            "overrides": self.overrides,
            "comparison": None if self.comparison is None else self.comparison.as_dict(),
            "arms": self.arms,
            **({} if self.hydra is None else {"hydra": self.hydra}),
            **({"held_seeds": list(self.held_seeds)} if self.held_seeds else {}),
            **({} if self.ladder is None else {"ladder": self.ladder.as_dict()}),
            **{
                key: design.as_dict()
                for key, design in (
                    ("factorial", self.factorial),
                    ("leave_one_out", self.leave_one_out),
                )
                if design is not None
            },
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Manifest:
        """Invert :meth:`as_dict`. Raises :class:`DataError` for another format version."""
        version = content.get("format_version")
        if version != FORMAT_VERSION:
            raise DataError(
                f"manifest: format_version={version}: expected {FORMAT_VERSION}", "rerun the study"
            )
        numbers = {key: len(content[key]) for key in ("arms", "names", "overrides")}
        if len(set(numbers.values())) > 1:
            found = ", ".join(f"{number} {key}" for key, number in numbers.items())
            raise DataError(f"manifest: expected as many arms, names and overrides, found {found}",
                            "rerun the study")  # fmt: skip
        declared, ladder = content["comparison"], content.get("ladder")
        ladder = None if ladder is None else Ladder.from_dict(ladder)
        factorial, stack = content.get("factorial"), content.get("leave_one_out")
        expected = set() if declared is None else set(declared["arms"])
        if ladder is not None:
            expected = {cell for cell, (_, arm) in ladder.cells.items() if arm in ladder.arms}
        missing = expected - set(content["names"])
        if missing:
            raise DataError(f"manifest: names: expected {min(missing)}, an arm of the study",
                            "rerun the study")  # fmt: skip
        return cls(
            study=content["study"],
            command=content["command"],
            arms=[upgrade(arm) for arm in content["arms"]],
            names=content["names"],
            overrides=content["overrides"],
            comparison=None if declared is None else Comparison(**declared),
            hydra=content.get("hydra"),
            held_seeds=tuple(content.get("held_seeds", ())),
            ladder=ladder,
            factorial=None if factorial is None else Factorial.from_dict(factorial),
            leave_one_out=None if stack is None else LeaveOneOut.from_dict(stack),
        )

    def with_held_seeds(self, names: Collection[str]) -> Manifest:
        """Return the study with these seeds held fixed at their numbers."""
        first = self.arms[0]
        ambiguous = (name for name in names if first["seeds"][name] == first["seed"])
        return dataclasses.replace(self, held_seeds=tuple(sorted(ambiguous)))

    @property
    def held_seeds_note(self) -> str:
        """State which source of noise a study holds fixed; empty where it holds none."""
        if self.is_plain:
            return ""
        arm = self.arms[0]
        held = [
            name
            for name, seed in arm["seeds"].items()
            if seed != arm["seed"] or name in self.held_seeds
        ]
        return describe_held(arm["seeds"], held)

    @property
    def metric(self) -> str:
        """The key of a validation row that runs are compared by.

        A plain sweep over tokenizers is compared by bits per byte: losses per token of different
        tokenizers have no common unit.
        """
        if self.comparison is not None:
            return self.comparison.metric
        if self.ladder is not None:
            return "loss"
        tokenizers = {hash_json(_tokenizer_settings(arm)) for arm in self.arms}
        return "bits_per_byte" if len(tokenizers) > 1 else "loss"

    @property
    def unit(self) -> str:
        """The unit of the metric."""
        return METRICS[self.metric]

    def has(self, job: Job) -> bool:
        """Whether a job in the records of the study is one of its arms or runs."""
        if self.ladder is not None:
            return job.arm in self.ladder.cells
        if self.comparison is None:
            return job.number < len(self.arms)
        return job.arm in self.comparison.judged_arms

    def job_config(self, job: Job) -> dict[str, Any]:
        """Return the full configuration of a run."""
        if self.ladder is not None:
            return self._rung_of(job.arm).job_config(job)
        if self.comparison is None:
            return copy.deepcopy(self.arms[job.number])
        content = copy.deepcopy(self._arm_config(job.arm))
        content["arm"] = job.arm
        if job.lr is not None:
            content["optim"]["lr"] = job.lr
            content["arm"] = f"{job.arm}+lr-{job.lr:g}"
        for name, seed in content["seeds"].items():
            if seed == content["seed"] and name not in self.held_seeds:
                content["seeds"][name] = job.seed
        content["seed"] = job.seed
        return content

    def required_jobs(
        self,
        outcomes: Outcomes,
        undecided: Collection[str] = (),
        num_open_rungs: int | None = None,
        granted: Mapping[str, int] | None = None,
    ) -> dict[Job, list[str]]:
        """Return the runs that the outcomes so far call for, each with its purposes.

        Call it again when runs finish: a search, a second look or the next rung may then require
        more.

        Args:
            outcomes: outcomes of the runs so far.
            undecided: arms whose first verdict was inconclusive; they get ``extra_seeds``.
            num_open_rungs: of a ladder, the number of rungs whose runs may start; None for all.
            granted: of a sequential study, the number of seeds of each arm, by
                :mod:`lmlab.study.waves`; None for those before the first look.
        """
        if self.ladder is not None:
            number = len(self.ladder.rungs) if num_open_rungs is None else num_open_rungs
            return required_on_ladder(self, outcomes, number)
        required: dict[Job, list[str]] = {}
        if self.comparison is None:
            for number, (name, content) in enumerate(zip(self.names, self.arms, strict=True)):
                required[Job(name, None, content["seed"], number)] = ["run"]
            return required

        def require(job: Job, purpose: str) -> None:
            purposes = required.setdefault(job, [])
            if purpose not in purposes:
                purposes.append(purpose)

        design = self.comparison
        if design.lr == "search":
            for arm in self.searched_arms:
                trials = tuning_outcomes(arm, outcomes)
                for trial_lr, seed in self.lr_search(arm).required_runs(trials):
                    require(Job(arm, trial_lr, seed), "search")
        baseline_lr = None if design.baseline is None else self.judged_lr(design.baseline, outcomes)
        for arm in design.judged_arms:
            seeds = self.evaluation_seeds(arm, undecided, granted)
            rate = self.judged_lr(arm, outcomes)
            if rate is not None or design.lr == "fixed":
                for seed in seeds:
                    require(Job(arm, rate, seed), "judged")
            is_at_both = design.at_baseline_lr and design.lr == "search"
            if is_at_both and baseline_lr is not None and arm in design.arms:
                # Comparisons without a verdict get no waves.
                for seed in seeds[: design.first_seeds] if design.is_sequential else seeds:
                    require(Job(arm, baseline_lr, seed), "baseline's lr")
        if self.factorial is not None:
            for job in checking_jobs(self, outcomes):
                require(job, BRACKET)
        return required

    @property
    def searched_arms(self) -> list[str]:
        """The arms of a comparison whose learning rate is searched, if any is."""
        assert self.comparison is not None
        if self.factorial is not None:
            return self.factorial.searched_cells
        return list(self.comparison.arms)

    def lr_search(self, arm: str) -> ConfirmedSearch:
        """Return the learning-rate search of an arm."""
        if self.ladder is not None:
            return self._rung_of(arm).lr_search(arm)
        assert self.comparison is not None
        design, negligible = self.comparison, _NEGLIGIBLE * self.comparison.margin
        is_pruned = design.prune == ALWAYS
        search = LRSearch(
            start=self.arms[self.names.index(arm)]["optim"]["lr"],
            factor=design.lr_factor,
            edge_ratio=design.edge_ratio,
            seeds=[FIRST_TUNING_SEED + number for number in range(design.num_tuning_seeds)],
            pruning=Pruning(design.expected_sd, negligible) if is_pruned else None,
        )
        return ConfirmedSearch(search, design.confirm_rate, design.expected_sd, negligible)

    def judged_lr(self, arm: str, outcomes: Outcomes) -> float | None:
        """Return the learning rate at which an arm is judged.

        None while its search is unfinished, or if no rate trains.
        """
        if self.ladder is not None:
            return judged_rate(self, arm, outcomes)
        assert self.comparison is not None
        source = self._source_arm(arm)
        if self.comparison.lr == "fixed":
            rate = self._arm_config(arm)["optim"].get("lr")
            return None if rate is None else float(rate)
        if self.factorial is not None and self.factorial.predicts(arm):
            return predicted_rate(self, arm, outcomes)
        trials = tuning_outcomes(source, outcomes)
        key = source, frozenset(trials.items())
        if key not in self._found_rates:
            self._found_rates[key] = self.lr_search(source).best_lr(trials)
        return self._found_rates[key]

    @functools.cached_property
    def _found_rates(self) -> dict[tuple[str, frozenset[Any]], float | None]:
        """Results of searches by arm and outcomes: a prediction asks for many of them, often."""
        return {}

    def is_untrainable(self, arm: str, outcomes: Outcomes) -> bool:
        """Return whether the search that gives the rate of an arm has finished without one."""
        if self.ladder is not None:
            return self._rung_of(arm).is_untrainable(arm, outcomes)
        assert self.comparison is not None
        if self.comparison.lr == "fixed":
            return False
        if self.factorial is not None and self.factorial.predicts(arm):
            return has_no_model(self, outcomes)
        source = self._source_arm(arm)
        trials = tuning_outcomes(source, outcomes)
        search = self.lr_search(source)
        return search.is_finished(trials) and search.best_lr(trials) is None

    def evaluation_seeds(
        self,
        arm: str,
        undecided: Collection[str] = (),
        granted: Mapping[str, int] | None = None,
    ) -> list[int]:
        """Return the seeds on which an arm is judged.

        The baseline gets the extra seeds of every undecided arm, so that all pairs share seeds. An
        undecided arm of a sequential study gets all that it may get, unless ``granted`` says how
        many each arm has.
        """
        if self.ladder is not None:
            return self._rung_of(arm).evaluation_seeds(arm)
        assert self.comparison is not None
        design = self.comparison
        first = self._arm_config(arm)["seed"]
        if arm == design.replicate:
            first += FIRST_REPLICATE_SEED
        gets_extra = arm in undecided or (arm == design.baseline and bool(undecided))
        number = design.most_seeds if gets_extra else design.first_seeds
        number = number if granted is None else granted[arm]
        return [first + index for index in range(number)]

    def _arm_config(self, arm: str) -> dict[str, Any]:
        return self.arms[self.names.index(self._source_arm(arm))]

    def _source_arm(self, arm: str) -> str:
        """Return the arm whose configuration ``arm`` uses: the baseline for the replicate."""
        assert self.comparison is not None
        if arm == self.comparison.replicate:
            assert self.comparison.baseline is not None
            return self.comparison.baseline
        return arm


def _tokenizer_settings(arm: Mapping[str, Any]) -> list[Any]:
    """Return what an arm's tokenizer depends on: its settings, and the text that it learns from."""
    tokenizer = dict(arm.get("tokenizer") or {})
    target = str(tokenizer.get("_target_", "")).rpartition(".")[2]
    data = None if target in _FIXED_TOKENIZERS else text_settings(arm.get("data"))
    return [{key: one for key, one in tokenizer.items() if key != "end_of_text"}, data]


def tuning_outcomes(arm: str, outcomes: Outcomes) -> dict[tuple[float, int], TrialOutcome]:
    """Return the outcomes of an arm's tuning runs by learning rate and seed."""
    return {
        (job.lr, job.seed): outcome
        for job, outcome in outcomes.items()
        if job.arm == arm
        and job.lr is not None
        and FIRST_TUNING_SEED <= job.seed < FIRST_REPLICATE_SEED
    }
