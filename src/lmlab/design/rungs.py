"""The rungs of a ladder: the same arms at growing training compute.

A rung is a list of overrides. It is given, or generated from one dial: the shape follows from the
width, the tokens from the parameters, and the steps from the tokens.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.accounting.model_counts import count_model
from lmlab.config.run_length import require_known_steps
from lmlab.config.schedule_settings import has_other_warmup
from lmlab.errors import Check, ConfigError, check_settings

_MAX_HEADS = 1024
_MAX_RUNGS = 20
IN_LADDERS = "in a ladder, whose rungs are amounts of compute"
# Settings that keep their share of the steps at every rung, with the smallest value of each.
_IN_STEPS = (
    ("schedule.warmup_steps", 0),
    ("validation.every_steps", 1),
    ("checkpoint.every_steps", 1),
    ("training.log_every", 1),
)


@dataclasses.dataclass(frozen=True)
class Rung:
    """One rung, with the sizes of the baseline on it.

    Attributes:
        overrides: settings of all arms on the rung.
        d_model: width.
        num_layers: number of blocks.
        parameters: number of parameters; tied ones count once.
        hidden_parameters: of these, entries of the matrices in the blocks.
        tokens: training tokens.
        flops: training FLOPs: three times those of the forward passes over all tokens.
    """

    overrides: tuple[str, ...]
    d_model: int
    num_layers: int
    parameters: int
    hidden_parameters: int
    tokens: int
    flops: int

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return dataclasses.asdict(self) | {"overrides": list(self.overrides)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Rung:
        """Invert :meth:`as_dict`."""
        return cls(**{**content, "overrides": tuple(content["overrides"])})


def _is_positive(value: float | None) -> bool:
    return value is None or 0 < value < math.inf


def _check_fields(declaration: object, rules: Sequence[tuple[str, bool, str]]) -> None:
    """Raise :class:`ConfigError` for the first field that is out of range."""
    check_settings(
        Check(f"ladder.{key}", getattr(declaration, key), is_valid, expected)
        for key, is_valid, expected in rules
    )


@dataclasses.dataclass(frozen=True)
class GivenRungs:
    """Rungs that are listed, each with its overrides.

    Attributes:
        rungs: overrides of each rung, from the lowest.
        sealed: whether forecasts of the highest rung are written before any of its runs starts.

    Raises:
        ConfigError: a field is out of range.
    """

    rungs: list[list[str]]
    sealed: bool = True

    def __post_init__(self) -> None:
        is_valid = all(
            isinstance(rung, list | tuple) and all(isinstance(text, str) for text in rung)
            for rung in self.rungs
        )
        expected = f"2 to {_MAX_RUNGS} lists of overrides, from the lowest rung"
        is_valid = is_valid and 2 <= len(self.rungs) <= _MAX_RUNGS
        _check_fields(self, [("rungs", is_valid, expected)])

    def overrides(self, baseline: Mapping[str, Any]) -> list[tuple[str, ...]]:
        """Return the overrides of each rung, whatever the configuration of the baseline."""
        return [tuple(rung) for rung in self.rungs]


@dataclasses.dataclass(frozen=True)
class SizedRungs:
    """Rungs generated from one dial, the width of the model.

    A model of k heads has the width ``k * d_head`` and ``d_model / aspect_ratio`` layers, rounded
    down or up. It is trained on ``tokens_per_parameter`` tokens per parameter in its blocks:
    embedding and head, which are most of a small model, would make the horizon depend on the
    vocabulary. The rungs are the models whose training compute is closest to a geometric series.

    Attributes:
        sizes: number of rungs.
        span: training compute of the highest rung over that of the lowest.
        flops: training compute of the lowest rung, in FLOPs; None for that of a model of the
            configured ``model.d_model``.
        d_head: width of a head.
        aspect_ratio: width over number of layers.
        d_ff_ratio: feed-forward width over model width; None for the configured ``model.d_ff``.
        tokens_per_parameter: 20 is about compute-optimal (Hoffmann et al. 2022, table 3).
        batch_exponent: the batch size grows as this power of the training tokens; 0 keeps it.
        sealed: whether forecasts of the highest rung are written before any of its runs starts.

    Raises:
        ConfigError: a field is out of range.
    """

    sizes: int
    span: float
    flops: float | None
    d_head: int
    aspect_ratio: float
    d_ff_ratio: float | None
    tokens_per_parameter: float
    batch_exponent: float
    sealed: bool = True

    def __post_init__(self) -> None:
        rules = [
            ("sizes", 2 <= self.sizes <= _MAX_RUNGS, f"2 to {_MAX_RUNGS}"),
            ("span", 1 < self.span < math.inf, "a finite number above 1"),
            ("flops", _is_positive(self.flops), "a positive number, such as 4e11, or null"),
            ("d_head", self.d_head >= 1, "1 or more"),
            ("aspect_ratio", _is_positive(self.aspect_ratio), "a positive number"),
            ("d_ff_ratio", _is_positive(self.d_ff_ratio), "a positive number, or null"),
            ("tokens_per_parameter", _is_positive(self.tokens_per_parameter), "a positive number"),
            ("batch_exponent", 0 <= self.batch_exponent <= 1, "0 to 1"),
        ]
        _check_fields(self, rules)

    def overrides(self, baseline: Mapping[str, Any]) -> list[tuple[str, ...]]:
        """Return the overrides of each rung.

        Args:
            baseline: its configuration, without a rung.

        Raises:
            ConfigError: no model is near a rung, or a component has no counts.
        """
        models = self._models(baseline)
        first = self._tokens(models[0])
        return [self._rung(baseline, model, first) for model in models]

    def nearest(self, config: Mapping[str, Any], flops: float) -> tuple[list[str], dict[str, Any]]:
        """Return the overrides of the shape nearest to a compute, and its ``model`` section.

        Args:
            config: of an arm.
            flops: training compute at the horizon of the ladder.
        """
        candidates = self._candidates(config, flops)
        _, model = min(candidates, key=lambda one: abs(math.log(one[0] / flops)))
        return self._shape_overrides(model), model

    def _candidates(
        self, config: Mapping[str, Any], flops: float
    ) -> list[tuple[float, dict[str, Any]]]:
        """Return models with their compute, up to those above a compute."""
        candidates: list[tuple[float, dict[str, Any]]] = []
        for heads in range(1, _MAX_HEADS + 1):
            found = [(self._flops(one), one) for one in self._shapes(config, heads)]
            candidates += found
            # A wider and shallower model may be closer to the compute, and is chosen on the same
            # rung of a longer ladder.
            if found[0][0] >= flops:
                break
        return candidates

    def _shape_overrides(self, model: Mapping[str, Any]) -> list[str]:
        keys = ["d_model", "num_layers", "num_heads"]
        keys += ["d_ff"] if self.d_ff_ratio is not None else []
        return [f"model.{key}={model[key]}" for key in keys]

    def _models(self, baseline: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the ``model`` section of each rung: the closest ones to a geometric series."""
        lowest = self.flops
        if lowest is None:
            configured = max(1, round(baseline["model"]["d_model"] / self.d_head))
            lowest = self._flops(self._shapes(baseline, configured)[-1])
        candidates = self._candidates(baseline, lowest * self.span)
        chosen = []
        for rung in range(self.sizes):
            target = lowest * self.span ** (rung / (self.sizes - 1))
            chosen.append(min(candidates, key=lambda one: abs(math.log(one[0] / target))))
        compute = [flops for flops, _ in chosen]
        grows = all(low < high for low, high in itertools.pairwise(compute))
        if not grows or not 1 / 3 < compute[0] / lowest < 3:
            widths = ", ".join(str(model["d_model"]) for _, model in chosen)
            raise ConfigError(
                f"ladder.d_head={self.d_head}: the models closest to {self.sizes} rungs from "
                f"{lowest:.2g} to {lowest * self.span:.2g} FLOPs have the widths {widths}; "
                "expected a model near each rung",
                "set a smaller ladder.d_head, a larger ladder.flops or ladder.span, or fewer "
                "ladder.sizes",
            )
        return [model for _, model in chosen]

    def _shapes(self, baseline: Mapping[str, Any], heads: int) -> list[dict[str, Any]]:
        """Return the models of a number of heads: the depths next to the aspect ratio."""
        width = heads * self.d_head
        shape = {"d_model": width, "num_heads": heads}
        if self.d_ff_ratio is not None:
            shape["d_ff"] = max(1, round(width * self.d_ff_ratio))
        depth = width / self.aspect_ratio
        depths = sorted({max(1, math.floor(depth)), max(1, math.ceil(depth))})
        return [{**baseline["model"], **shape, "num_layers": number} for number in depths]

    def _tokens(self, model: Mapping[str, Any]) -> float:
        return self.tokens_per_parameter * count_model(model).hidden_parameters

    def _flops(self, model: Mapping[str, Any]) -> float:
        return self._tokens(model) * count_model(model).training_flops() / model["context_length"]

    def _rung(
        self, baseline: Mapping[str, Any], model: Mapping[str, Any], first_tokens: float
    ) -> tuple[str, ...]:
        tokens, batch = self._tokens(model), baseline["training"]["batch_size"]
        batch = max(1, round(batch * (tokens / first_tokens) ** self.batch_exponent))
        shape = self._shape_overrides(model)
        if self.batch_exponent:
            shape.append(f"training.batch_size={batch}")
        steps = max(1, round(tokens / (batch * model["context_length"])))
        return (*shape, *steps_overrides(baseline, steps))


@dataclasses.dataclass(frozen=True)
class BudgetRungs:
    """Rungs that are budgets of training compute, for arms of different sizes.

    Attributes:
        budgets: number of rungs.
        span: the largest budget over the smallest.
        flops: the smallest budget, in FLOPs; None for that of the configured run.
        sealed: whether forecasts of the highest rung are written before any of its runs starts.

    Raises:
        ConfigError: a field is out of range.
    """

    budgets: int
    span: float
    flops: float | None
    sealed: bool = False

    def __post_init__(self) -> None:
        rules = [
            ("budgets", 2 <= self.budgets <= _MAX_RUNGS, f"2 to {_MAX_RUNGS}"),
            ("span", 1 < self.span < math.inf, "a finite number above 1"),
            ("flops", _is_positive(self.flops), "a positive number, such as 4e11, or null"),
        ]
        _check_fields(self, rules)

    def overrides(self, baseline: Mapping[str, Any]) -> list[tuple[str, ...]]:
        """Return the overrides of each rung.

        Args:
            baseline: its configuration, without a rung.
        """
        lowest = self.flops or measure_rung((), baseline).flops
        shares = [rung / (self.budgets - 1) for rung in range(self.budgets)]
        return [(f"training.flops={lowest * self.span**share:.3e}",) for share in shares]


Declaration = GivenRungs | SizedRungs | BudgetRungs


def read_declaration(target: str, parameters: Mapping[str, Any]) -> Declaration:
    """Return the declaration of rungs that the node ``ladder`` holds.

    Args:
        target: its ``_target_``.
        parameters: its other settings.

    Raises:
        ConfigError: a setting is out of range.
    """
    kinds = {kind.__name__: kind for kind in (GivenRungs, SizedRungs, BudgetRungs)}
    found: Declaration = kinds[target.rpartition(".")[2]](**parameters)
    return found


def steps_overrides(config: Mapping[str, Any], steps: int) -> list[str]:
    """Return overrides for another number of steps at which intervals keep their share of a run.

    Args:
        config: configuration with the intervals and the steps that they refer to.
        steps: number of updates.

    Raises:
        ConfigError: the steps of the configuration are not known yet.
    """
    require_known_steps(config, IN_LADDERS)
    share = steps / config["training"]["steps"]
    found = [f"training.steps={steps}"]
    for key, least in _IN_STEPS:
        section, name = key.split(".")
        value = config[section].get(name)
        if value is not None and not (name == "warmup_steps" and has_other_warmup(config[section])):
            found.append(f"{key}={max(least, round(value * share))}")
    return found


def measure_rung(overrides: Sequence[str], config: Mapping[str, Any]) -> Rung:
    """Return a rung with the sizes of a configuration on it.

    Args:
        overrides: of the rung.
        config: configuration of the baseline on the rung.

    Raises:
        ConfigError: a component of the model has no counts.
    """
    require_known_steps(config, IN_LADDERS)
    model, training = config["model"], config["training"]
    counts = count_model(model)
    sequences = training["steps"] * training["batch_size"]
    return Rung(
        overrides=tuple(overrides),
        d_model=model["d_model"],
        num_layers=model["num_layers"],
        parameters=counts.parameters,
        hidden_parameters=counts.hidden_parameters,
        tokens=sequences * model["context_length"],
        flops=sequences * counts.training_flops(),
    )
