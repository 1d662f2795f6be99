"""An idea beside the standing baseline: composed, checked, and known by a hash."""

from __future__ import annotations

import dataclasses
import functools
import math
import shlex
import sys
from collections.abc import Sequence

from lmlab.build.numerics import numeric_code
from lmlab.build.user_code import user_code
from lmlab.config.compose import compose
from lmlab.config.identity_settings import identity_settings
from lmlab.config.run_config import RunConfig
from lmlab.data.corpus import Corpus
from lmlab.design import fairness
from lmlab.design.comparison import TOLERANCE, Comparison
from lmlab.design.confirmation import AUTO
from lmlab.design.manifest import Manifest
from lmlab.design.run_keys import arm_settings
from lmlab.design.study_checks import check_study
from lmlab.design.study_seeds import other_seed
from lmlab.errors import ConfigError
from lmlab.judge import guards, held_out, pins
from lmlab.judge.causality import check_causality, names_other_code
from lmlab.judge.stream import BASELINE_ARM, Stream
from lmlab.judge.terms import Terms
from lmlab.storage.io import hash_json
from lmlab.sweep.arm_costs import count_arm_costs
from lmlab.sweep.run_data_cache import RunDataCache


@dataclasses.dataclass(frozen=True)
class Arms:
    """The standing baseline and an idea, composed with the first seed of the idea.

    Attributes:
        terms: of the stream.
        names: of both.
        overrides: of both; those of the idea are on top of the baseline.
        configs: of both.
        held_seeds: names of the seeds that all runs share.
    """

    terms: Terms
    names: tuple[str, str]
    overrides: tuple[tuple[str, ...], tuple[str, ...]]
    configs: tuple[RunConfig, RunConfig]
    held_seeds: tuple[str, ...]

    @property
    def settings(self) -> str:
        """Hash of the idea's resolved settings and code."""
        return settings_hash(self.configs[1])

    def manifest(self, pairs: int) -> Manifest:
        """Return the study that trains the first ``pairs`` pairs, and what they need before."""
        return Manifest(
            study=self.terms.study,
            command=shlex.join(["python", "-m", "lmlab.judge", *sys.argv[1:]]),
            arms=[config.as_dict() | {"design": None, "ladder": None} for config in self.configs],
            names=list(self.names),
            overrides=[list(each) for each in self.overrides],
            comparison=_comparison(self.terms, self.names[1], self.overrides[1], pairs),
        ).with_held_seeds(self.held_seeds)

    def check_data(self, data: RunDataCache) -> None:
        """Prepare the texts, and check that the idea is measured, and costs, as the baseline.

        Raises:
            ConfigError: it is measured differently, its cost or its data differ by more than the
                ledger allows, it trains on text that measures, or its model sees the tokens that it
                is to predict.
            DataError: a text cannot be used.
        """
        costs = {}
        for name, config in zip(self.names, self.configs, strict=True):
            prepared = data.get(config)
            pins.check_measured(name, config, prepared, self.terms)
            costs[name] = count_arm_costs(config, prepared)
        design = _comparison(self.terms, self.names[1], self.overrides[1], 1)
        unfair = [
            one.description
            for one in fairness.find_differences(costs, design)
            if not one.is_allowed
        ]
        if unfair:
            raise ConfigError(
                f"{'; '.join(unfair)}: expected the same as in the baseline",
                f"change the idea to match; to let ideas differ in it, start a ledger with allow="
                f"[...], of {', '.join(fairness.LABELS)}",
            )
        self._check_text(*(data.get(config).corpus for config in self.configs))
        if names_other_code(self.configs[1]):
            check_causality(self.names[1], self.configs[1])

    def _check_text(self, baseline: Corpus, idea: Corpus) -> None:
        """Check that another training text has nothing of the texts that measure."""
        if idea.train_hash == baseline.train_hash or not idea.train.files:
            return
        held_out.check_training_text(self.names[1], idea, baseline)
        if self.terms.final_text is not None:
            _, _, documents = held_out.read_final_text(self.terms.final_text)
            held_out.check_apart(self.terms.final_text, documents, idea, self.names[1])


def settings_hash(config: RunConfig) -> str:
    """Return a hash that is equal for all spellings of one idea: of its settings and its code."""
    settings = identity_settings(config)
    return hash_json(
        [sorted(arm_settings(config.as_dict()).items()), user_code(settings),
         numeric_code(settings)]
    )  # fmt: skip


def compose_run(terms: Terms, overrides: Sequence[str], seed: int, arm: str) -> RunConfig:
    """Compose a configuration of the stream."""
    return _compose((*overrides, f"study={terms.study}", f"arm={arm}", f"seed={seed}"))


@functools.lru_cache(maxsize=64)
def _compose(overrides: tuple[str, ...]) -> RunConfig:
    """Compose each configuration once per process; it takes a fifth of a second."""
    return compose(overrides)


def compose_arms(stream: Stream, name: str, overrides: Sequence[str], seeds: list[int]) -> Arms:
    """Compose an idea on top of the standing baseline, and check it before any text is read.

    Args:
        stream: with the standing baseline.
        name: of the idea.
        overrides: of the idea.
        seeds: that judge it.

    Raises:
        ConfigError: an override is not valid or decides how the idea is judged, or the idea changes
            nothing.
    """
    guards.check_overrides(overrides)
    base = stream.standing.overrides
    names, both = (BASELINE_ARM, name), (base, (*base, *overrides))
    composed = [
        [compose_run(stream.terms, own, seed, arm) for arm, own in zip(names, both, strict=True)]
        for seed in (seeds[0], other_seed(seeds[0]))
    ]
    first, again = ([one.as_dict() for one in configs] for configs in composed)
    guards.check_seeds(*first)
    guards.check_initial_weights(*first)
    if arm_settings(first[0]) == arm_settings(first[1]):
        raise ConfigError(
            f"overrides: [{', '.join(overrides)}] change nothing: the standing baseline "
            f"({stream.standing.name}) has these settings",
            "change a setting that the result depends on",
        )
    design = _comparison(stream.terms, name, both[1], stream.terms.max_seeds)
    held = check_study(design, first, again)
    return Arms(stream.terms, names, both, (composed[0][0], composed[0][1]), held)


def _comparison(terms: Terms, name: str, overrides: Sequence[str], pairs: int) -> Comparison:
    """Return the design of a wave. It has no baseline: the ledger decides, not a report."""
    return Comparison(
        question=f"Is {name} better than the standing baseline of the ledger {terms.name}?",
        arms={BASELINE_ARM: [], name: list(overrides)},
        baseline=None,
        replicate=None,
        lr=terms.lr,
        lr_factor=math.sqrt(10),
        edge_ratio=None,
        at_baseline_lr=False,
        num_seeds=pairs,
        num_tuning_seeds=terms.num_tuning_seeds,
        extra_seeds=0,
        hold_tokens=False,
        solve_d_ff=False,
        tolerance=dict(TOLERANCE),
        allow=list(terms.allow),
        margin=terms.margin,
        alpha=terms.level,
        power=0.8,
        expected_sd=terms.expected_sd,
        limits=["The verdict on the idea is in the ledger: python -m lmlab.judge show"],
        metric=terms.metric,
        confirm_rate=AUTO,
    )
