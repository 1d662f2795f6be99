"""The declaration of a study: which arms are compared with which baseline, and how."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

from lmlab.design import look_settings
from lmlab.design.confirmation import NEVER, POLICIES
from lmlab.design.pruning import PRUNES, effective_prune
from lmlab.design.search import MAX_RATIO
from lmlab.errors import Check, ConfigError, check_settings, suggestion

# Tuning and evaluation never share a seed: no learning rate is judged on the seeds that chose it.
FIRST_TUNING_SEED = 1000
FIRST_REPLICATE_SEED = 2000
_OVERRIDE = re.compile(r"~\S|[^=\s]+=")  # key=value, or ~key, which deletes
_ARM_NAME = re.compile(r"[A-Za-z0-9._-]{1,60}")
QUANTITIES = (
    "parameters", "flops", "tokens", "batches", "context", "evaluation", "data", "tokenizer",
)  # fmt: skip

# Tests of the difference from the baseline; "auto" is replaced by one of the others.
TESTS = ("auto", "t", "sign_flips")

# Metrics to compare runs by, with their units; each is a key of a validation row.
METRICS = {"loss": "nats per token", "bits_per_byte": "bits per byte"}

_BY_NAME = "a number by the name of a metric, as in {blimp.margin: 0.1}"

# How the items of a task are read: as a sample, or as the task itself.
RANDOM_ITEMS, FIXED_ITEMS = "random", "fixed"

# Relative differences that count as equal where nobody declares others; as in conf/design.
TOLERANCE = {"parameters": 0.01, "flops": 0.02}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A study that compares arms with a baseline.

    Attributes:
        question: the question that the report answers.
        arms: the overrides of each arm, including the baseline.
        baseline: the arm that all others are compared with; None for no comparison.
        replicate: name of an additional arm that repeats the baseline on other seeds; None for
            none. Its verdict must be "no difference", which checks the study itself.
        lr: ``search`` tunes the learning rate of each arm on separate seeds, ``fixed`` uses the
            configured one.
        lr_factor: ratio of neighbouring rates on the coarse grid of the search.
        edge_ratio: the search for the divergence edge ends when the lowest diverging rate is at
            most this many times the highest rate that trains; None to leave the edge unknown.
        at_baseline_lr: also compare each arm at the best learning rate of the baseline.
        num_seeds: runs per arm for the verdict; the first uses the configured ``seed``.
        num_tuning_seeds: runs per learning rate of the search.
        extra_seeds: additional runs, granted once to arms that the first seeds leave undecided.
        hold_tokens: set the steps of each arm to process as many tokens as the baseline.
        solve_d_ff: where the parameters of an arm are outside the tolerance, set its
            ``model.d_ff`` to match those of the baseline.
        keep_d_ff: arms whose width ``solve_d_ff`` leaves alone, such as those that match the
            baseline in FLOPs.
        tolerance: relative difference from the baseline that counts as equal, by quantity:
            ``parameters``, ``flops`` (per token), ``tokens``, ``evaluation`` (tokens).
        allow: quantities that may differ and are then marked in the report: those of
            ``tolerance``, ``batches``, ``context``, ``data``, ``tokenizer``.
        margin: largest difference that counts as no difference.
        alpha: probability of one or more false "better" or "worse" verdicts in the study.
        power: probability of detecting the difference that the plan states.
        expected_sd: standard deviation of the final metric over seeds, for the plan; finished
            runs of the baseline replace it.
        limits: what the study does not show.
        metric: ``loss``, or ``bits_per_byte`` where the tokenizers of the arms differ and losses
            per token are not comparable. ``margin`` and ``expected_sd`` are in its unit.
        test: ``t`` for the paired t test, which assumes normal noise; ``sign_flips`` for the
            sign-flip test, which assumes none but needs more seeds (6 for one arm, 9 for eight);
            ``auto``, which is replaced by ``sign_flips`` where ``num_seeds`` suffice for all arms,
            and by ``t`` elsewhere.
        confirm_rate: whether runs at the searched rate and at one rate to either side confirm it:
            ``always``, ``never``, or ``auto``, where the losses of the search suggest that the
            vertex of the parabola misses the minimum.
        prune: whether a search leaves out runs that its first tuning seed makes needless, by
            :mod:`lmlab.design.pruning`: ``always``, ``never``, or ``auto``, which is replaced by
            ``always`` for a sequential study and by ``never`` elsewhere.
        earlier_looks: numbers of seeds at which the same study was judged before; set by lmlab when
            a study is repeated with more seeds.
        earlier_arms: arms that this study has judged before the others were added; set by lmlab
            when a study is repeated with further arms, empty otherwise.
        dropped_arms: names of arms that it has judged before and no longer has; set by lmlab.
        metrics: what arms get verdicts by, ``metric`` among them, in the names of
            :mod:`lmlab.design.metrics`; empty for ``metric`` alone.
        items: ``random`` for verdicts on the phenomena that the items of a task are examples of,
            ``fixed`` for verdicts on these very items. See :mod:`lmlab.study.item_test`.
        margins: largest difference that counts as no difference, by name of one of ``metrics``
            other than ``metric``; where there is none, no verdict is "no difference".
        expected_sds: standard deviation over seeds, for the plan, by name of one of these.
        look: ``fixed`` decides after ``num_seeds`` seeds, and once more after ``extra_seeds``;
            ``sequential`` after every seed: arms that are still undecided get one more, and so
            does the baseline. Comparisons at the baseline's rate keep their first seeds.
        min_seeds: of a sequential study, seeds per arm before the first look.
        max_seeds: of a sequential study, most seeds per arm; None for a quarter more than
            ``num_seeds`` and ``extra_seeds`` together, which has the same power.
        futility: of a sequential study, an arm ends without a verdict where one at ``max_seeds`` is
            less probable than this; 0 for never.
        max_runs: of a sequential study, no seeds are added where it would have more runs, those
            of the search included; None for no limit.
        max_minutes: of a sequential study, no seeds are added once its runs have trained for so
            many minutes, all together; None for no limit.

    Raises:
        ConfigError: a field is out of range.
    """

    question: str
    arms: dict[str, list[str]]
    baseline: str | None
    replicate: str | None
    lr: str
    lr_factor: float
    edge_ratio: float | None
    at_baseline_lr: bool
    num_seeds: int
    num_tuning_seeds: int
    extra_seeds: int
    hold_tokens: bool
    solve_d_ff: bool
    tolerance: dict[str, float]
    allow: list[str]
    margin: float
    alpha: float
    power: float
    expected_sd: float
    limits: list[str]
    metric: str = "loss"
    test: str = "t"  # of studies that were frozen before there was a choice
    earlier_looks: list[int] = dataclasses.field(default_factory=list)
    confirm_rate: str = NEVER  # of studies that were frozen before there was a choice
    keep_d_ff: list[str] = dataclasses.field(default_factory=list)
    metrics: list[str] = dataclasses.field(default_factory=list)
    items: str = RANDOM_ITEMS
    margins: dict[str, float] = dataclasses.field(default_factory=dict)
    expected_sds: dict[str, float] = dataclasses.field(default_factory=dict)
    earlier_arms: list[str] = dataclasses.field(default_factory=list)
    dropped_arms: list[str] = dataclasses.field(default_factory=list)
    look: str = look_settings.FIXED
    min_seeds: int = 3
    max_seeds: int | None = None
    futility: float = 0.05
    max_runs: int | None = None
    max_minutes: float | None = None
    prune: str = NEVER  # of studies that were frozen before there was a choice

    def __post_init__(self) -> None:
        self._check_arms()
        self._check_ranges()
        self._check_names()
        self._check_metrics()
        if self.lr == "fixed":  # nothing to confirm; the ids of earlier studies stay the same
            object.__setattr__(self, "confirm_rate", NEVER)
        object.__setattr__(self, "prune", effective_prune(self.prune, self.lr, self.is_sequential))
        if self.test == "auto":
            suffice = self.num_seeds >= self.seeds_for_sign_flips and not self.is_sequential
            object.__setattr__(self, "test", "sign_flips" if suffice else "t")

    @classmethod
    def with_settings_of(cls, design: Any, **own: Any) -> Comparison:
        """Return the comparison that another design consists of.

        Args:
            design: a dataclass, such as a factorial study; settings of the same names are its.
            own: the other settings, and those whose meaning differs.

        Raises:
            ConfigError: a field is out of range.
        """
        both = ({field.name for field in dataclasses.fields(one)} for one in (cls, design))
        shared = {name: getattr(design, name) for name in set.intersection(*both)}
        return cls(**shared | own)

    def _check_arms(self) -> None:
        for name, overrides in self.arms.items():
            texts = overrides if isinstance(overrides, list | tuple) else [None]
            for text in texts:
                if not isinstance(text, str) or not _OVERRIDE.match(text):
                    found = overrides if text is None else text
                    raise ConfigError(
                        f"design.arms.{name}={found}: expected a list of overrides",
                        f"write for example design.arms.{name}=['model.norm=post'], or [] for no "
                        "override",
                    )

    def _check_ranges(self) -> None:
        rules = [
            ("arms", bool(self.arms), "at least one arm"),
            ("lr", self.lr in ("search", "fixed"), "search or fixed"),
            # Rates have three digits, so that closer ones could not be told apart.
            ("lr_factor", 1.05 <= self.lr_factor <= MAX_RATIO, "1.05 to 1000"),
            (
                "edge_ratio",
                self.edge_ratio is None or 1.01 <= self.edge_ratio < math.inf,
                "a number of 1.01 or more, or null",
            ),
            ("num_seeds", self.num_seeds >= 1, "1 or more"),
            ("num_tuning_seeds", self.num_tuning_seeds >= 1, "1 or more"),
            ("extra_seeds", self.extra_seeds >= 0, "0 or more"),
            (
                "extra_seeds",
                self.extra_seeds == 0 or self.num_seeds >= 2,
                "0 with design.num_seeds=1: extra seeds require at least two first seeds",
            ),
            ("margin", 0 <= self.margin < math.inf, "a finite number, 0 or more"),
            ("alpha", 0 < self.alpha < 1, "a number between 0 and 1"),
            ("power", 0 < self.power < 1, "a number between 0 and 1"),
            ("expected_sd", 0 < self.expected_sd < math.inf, "a finite number above 0"),
            ("metric", self.metric in METRICS, f"one of {', '.join(METRICS)}"),
            ("test", self.test in TESTS, f"one of {', '.join(TESTS)}"),
            ("confirm_rate", self.confirm_rate in POLICIES, f"one of {', '.join(POLICIES)}"),
            ("prune", self.prune in PRUNES, f"one of {', '.join(PRUNES)}"),
            ("items", self.items in (RANDOM_ITEMS, FIXED_ITEMS), "random or fixed"),
            ("replicate", self.replicate not in self.arms, "a name that no arm has"),
            *look_settings.look_rules(self),
            *(
                (f"margins.{name}", _is_finite(value) and value >= 0, f"0 or more, {_BY_NAME}")
                for name, value in self.margins.items()
            ),
            *(
                (f"expected_sds.{name}", _is_finite(value) and value > 0, f"above 0, {_BY_NAME}")
                for name, value in self.expected_sds.items()
            ),
            *(
                (f"tolerance.{quantity}", 0 <= value < math.inf, "a finite number, 0 or more")
                for quantity, value in self.tolerance.items()
            ),
        ]
        check_settings(
            Check(f"design.{key}", self._value(key), is_valid, expected)
            for key, is_valid, expected in rules
        )

    def _value(self, key: str) -> Any:
        name, _, entry = key.partition(".")
        return getattr(self, name)[entry] if entry else getattr(self, name)

    def _check_names(self) -> None:
        for name in self.judged_arms:
            if not _ARM_NAME.fullmatch(name):
                raise ConfigError(
                    f"design.arms.{name}: expected a name of 1 to 60 letters, digits and . _ -",
                    "rename the arm",
                )
        if self.baseline is not None and self.baseline not in self.arms:
            raise ConfigError(
                f"design.baseline={self.baseline}: expected one of {', '.join(self.arms)}",
                suggestion(self.baseline, self.arms) or "choose one of the arms",
            )
        if self.replicate is not None and self.baseline is None:
            raise ConfigError(
                f"design.replicate={self.replicate}: expected null without design.baseline",
                "set design.baseline, or remove design.replicate",
            )
        for name in self.keep_d_ff:
            if name not in self.arms:
                raise ConfigError(
                    f"design.keep_d_ff: unknown arm {name}, expected some of "
                    f"{', '.join(self.arms)}",
                    suggestion(name, self.arms) or "list names of arms",
                )
        for setting in ("allow", "tolerance"):
            for quantity in getattr(self, setting):
                if quantity not in QUANTITIES:
                    raise ConfigError(
                        f"design.{setting}: unknown quantity {quantity}, expected one of "
                        f"{', '.join(QUANTITIES)}",
                        suggestion(quantity, QUANTITIES) or "choose one of these quantities",
                    )

    def _check_metrics(self) -> None:
        if self.metrics and self.metric not in self.metrics:
            raise ConfigError(
                f"design.metrics=[{', '.join(self.metrics)}]: expected {self.metric} among them, "
                "by which learning rates are chosen and runs count as diverged",
                f"set design.metrics=[{', '.join([self.metric, *self.metrics])}]",
            )
        if len(set(self.metrics)) < len(self.metrics):
            raise ConfigError(
                f"design.metrics=[{', '.join(self.metrics)}]: expected each metric once",
                "remove the repeated one",
            )
        if self.metrics and self.baseline is None:
            raise ConfigError(
                "design.metrics: expected none without design.baseline", "set design.baseline"
            )
        others = [name for name in self.metrics if name != self.metric]
        for setting in ("margins", "expected_sds"):
            for name in getattr(self, setting):
                if name not in others:
                    raise ConfigError(
                        f"design.{setting}.{name}: expected one of design.metrics other than "
                        f"{self.metric} ({', '.join(others) or 'there is none'})",
                        suggestion(name, others)
                        or f"design.{setting.removesuffix('s')} is that of {self.metric}",
                    )

    @property
    def compared_arms(self) -> list[str]:
        """The arms that get a verdict, with the replicate last."""
        return [name for name in self.judged_arms if name != self.baseline] if self.baseline else []

    @property
    def judged_arms(self) -> list[str]:
        """All arms that are trained on the evaluation seeds, with the replicate last."""
        return [*self.arms, *([self.replicate] if self.replicate else [])]

    @property
    def is_sequential(self) -> bool:
        """Whether the study looks at its arms after every seed."""
        return self.look == look_settings.SEQUENTIAL

    @property
    def first_seeds(self) -> int:
        """Number of seeds that every arm gets before the first look."""
        return look_settings.first_seeds(self)

    @property
    def most_seeds(self) -> int:
        """Number of seeds that an arm gets at most."""
        return look_settings.most_seeds(self)

    @property
    def family(self) -> int:
        """Number of verdicts that share ``alpha``: by each metric, on arms but the replicate."""
        return self.num_tested * max(len(self.metrics), 1)

    @property
    def added_arms(self) -> list[str]:
        """The compared arms that were added after the study had judged others."""
        old = [*self.earlier_arms, self.replicate]
        return [arm for arm in self.compared_arms if arm not in old] if self.earlier_arms else []

    @property
    def num_tested(self) -> int:
        """Number of arms whose verdicts share ``alpha``: all compared ones but the replicate."""
        return len([arm for arm in self.compared_arms if arm != self.replicate])

    @property
    def seeds_for_sign_flips(self) -> int:
        """Smallest number of seeds at which a sign-flip test can find a difference in any arm."""
        return pairs_needed(self.alpha / max(self.family, 1) / (2 if self.extra_seeds else 1))

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, without newer ones that have their default."""
        content = dataclasses.asdict(self)
        newer = [("test", "t"), ("earlier_looks", []), ("confirm_rate", NEVER),
                 ("keep_d_ff", []), ("metrics", []), ("items", RANDOM_ITEMS), ("margins", {}),
                 ("expected_sds", {}), ("earlier_arms", []), ("dropped_arms", []),
                 ("prune", NEVER), *look_settings.DEFAULTS.items()]  # fmt: skip
        return {key: one for key, one in content.items() if (key, one) not in newer}


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def pairs_needed(level: float) -> int:
    """Return the smallest number of pairs whose sign-flip test can be significant at ``level``.

    The smallest p-value of n pairs is 2^(1 - n): 6 pairs for 0.05, and 9 for 0.05 / 8, the first
    step of Holm's method over eight arms.
    """
    return 1 + math.ceil(math.log2(1 / level) - 1e-12)
