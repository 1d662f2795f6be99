"""Parametrizations: how initial weights, products and learning rates depend on the model's shape.

A parametrization compares the shape of the model with a base shape, at which it changes nothing.
It gives

- three factors of the forward pass (:class:`Factors`),
- the standard deviation of each initial weight (:class:`InitRule`),
- multipliers of the optimizer's settings per matrix (:class:`lmlab.optim.groups.GroupRule`).

``m`` stands for the width of a matrix's input or output relative to the base shape. No torch:
configurations are checked with these classes.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from lmlab.errors import ConfigError
from lmlab.optim.groups import VECTORS, GroupRule, Multipliers, parameter_kind
from lmlab.optim.sized_roles import (
    ADAMW,
    FAMILIES,
    MUON,
    SCALAR,
    SGD,
    Size,
    SizedRole,
    initial_factor,
    lr_multiplier,
    sized_roles,
)

_FAMILY_OF = {
    "lmlab.optim.adamw.adamw": ADAMW,
    # Other entrywise updates whose size does not depend on the size of the gradient: Yang and
    # Littwin 2023 (Tensor Programs IVb).
    "lmlab.optim.ademamix.ademamix": ADAMW,
    "lmlab.optim.lion.lion": ADAMW,
    "lmlab.optim.schedule_free.schedule_free_adamw": ADAMW,
    "lmlab.optim.muon.MuonAdamW": MUON,
    "lmlab.optim.sgd.sgd": SGD,
    "torch.optim.AdamW": ADAMW,
    "torch.optim.SGD": SGD,
}


@dataclasses.dataclass(frozen=True)
class ModelShape:
    """The sizes of a model that parametrizations compare.

    Attributes:
        d_model: D.
        d_head: K.
        num_layers: L.
        d_ff: F; None where only the code of the feed-forward layer knows it.
    """

    d_model: int
    d_head: int
    num_layers: int
    d_ff: int | None

    @classmethod
    def of(cls, model: Mapping[str, Any], d_ff: int | None) -> ModelShape:
        """Return the shape of a ``model`` node of a configuration."""
        width = int(model["d_model"])
        return cls(width, width // int(model["num_heads"]), int(model["num_layers"]), d_ff)


@dataclasses.dataclass(frozen=True)
class Factors:
    """Factors in the forward pass; 1 changes nothing.

    Attributes:
        queries: of the queries, and so of the attention scores, in addition to 1 / sqrt(K).
        residual: of what each sublayer adds to the residual stream.
        logits: of the input of the output head, and so of the logits.
    """

    queries: float = 1.0
    residual: float = 1.0
    logits: float = 1.0


@dataclasses.dataclass(frozen=True)
class InitRule:
    """The initial standard deviation of some parameters.

    It is ``factor`` times the one that the initialization draws at the base shape, where the matrix
    has ``rows / row_ratio`` rows and ``columns / column_ratio`` columns, and the model
    ``layers / layer_ratio`` layers.

    Attributes:
        pattern: of the names, as in :class:`lmlab.optim.groups.GroupRule`.
        kind: of the parameters.
    """

    pattern: str
    kind: str
    row_ratio: float
    column_ratio: float
    layer_ratio: float
    factor: float

    def matches(self, name: str, num_axes: int) -> bool:
        """Whether the rule applies to a parameter."""
        is_of_kind = parameter_kind(name, num_axes) == self.kind
        return is_of_kind and fnmatch.fnmatchcase(name, self.pattern)


class Parametrization(Protocol):
    """What an option of ``model.param`` provides."""

    def check(self, shape: ModelShape, optim: Mapping[str, Any]) -> None:
        """Raise :class:`ConfigError` where a setting or the optimizer does not fit."""
        ...

    def factors(self, shape: ModelShape) -> Factors:
        """Return the factors of the forward pass."""
        ...

    def init_rules(self, shape: ModelShape) -> Sequence[InitRule]:
        """Return the rules of initial weights; the first that matches applies."""
        ...

    def group_rules(self, shape: ModelShape, optim: Mapping[str, Any]) -> Sequence[GroupRule]:
        """Return the multipliers of parameters for an ``optim`` node of a configuration."""
        ...


class Standard:
    """Initial weights, products and learning rates as the other options of the model say."""

    def check(self, shape: ModelShape, optim: Mapping[str, Any]) -> None:
        """Accept everything."""

    def factors(self, shape: ModelShape) -> Factors:
        """Return factors of 1."""
        return Factors()

    def init_rules(self, shape: ModelShape) -> Sequence[InitRule]:
        """Return no rules."""
        return ()

    def group_rules(self, shape: ModelShape, optim: Mapping[str, Any]) -> Sequence[GroupRule]:
        """Return no rules."""
        return ()


class MuP:
    """Maximal update parametrization: Yang et al. 2022 (Tensor Programs V), table 8.

    With m for the width of a matrix's input relative to the base shape, hidden matrices start with
    1 / sqrt(m) of the standard deviation at the base shape, embedding and head with that of the
    base shape. Logits are divided by m, and attention scores by K instead of sqrt(K) (definition
    4.1), relative to base_d_head. Adam's learning rate of hidden matrices is divided by m and their
    weight decay multiplied by it, so that the product stays, as in the authors' package ``mup``.
    SGD's rate is multiplied by m for embedding, head and gains. For Muon see
    :func:`lmlab.optim.sized_roles.muon_multiplier`.

    Experts are hidden matrices. Their router maps the width to a number of experts that does not
    grow, as an output layer does, but nothing divides its logits by m: as in table 3 of the paper,
    it starts with 1 / m of the standard deviation at the base shape, and the learning rates of Adam
    and SGD are divided by m.

    Args:
        base_d_model: D of the base shape, at which this is model.param=standard.
        base_d_head: K of the base shape.
        base_d_ff: F of the base shape; None for F in proportion to D.
        update_rule: ``adamw``, ``muon`` or ``sgd``: which learning rates those of your own
            optimizer scale like; ``auto`` for the optimizers of lmlab.
    """

    families: tuple[str, ...] = FAMILIES

    def __init__(
        self,
        *,
        base_d_model: int,
        base_d_head: int,
        base_d_ff: int | None = None,
        update_rule: str = "auto",
    ) -> None:
        self.base_d_model = base_d_model
        self.base_d_head = base_d_head
        self.base_d_ff = base_d_ff
        self.update_rule = update_rule

    def check(self, shape: ModelShape, optim: Mapping[str, Any]) -> None:
        """Raise :class:`ConfigError` for a base size below 1, or an optimizer without a rule."""
        for key, value in vars(self).items():
            if key.startswith("base_") and value is not None and value < 1:
                raise ConfigError(f"model.param.{key}={value}: expected 1 or more")
        if self.base_d_ff is not None and shape.d_ff is None:
            raise ConfigError(
                f"model.param.base_d_ff={self.base_d_ff}: expected null where the feed-forward "
                "layer chooses its width",
                "set model.d_ff to a number",
            )
        if self.update_rule not in ("auto", *FAMILIES):
            raise ConfigError(
                f"model.param.update_rule={self.update_rule}: expected one of auto, "
                f"{', '.join(FAMILIES)}"
            )
        self.family(optim)

    def family(self, optim: Mapping[str, Any]) -> str:
        """Return the update rule of an ``optim`` node.

        Raises:
            ConfigError: there is none, or this parametrization has no multipliers for it.
        """
        name, target = type(self).__name__, str(optim["_target_"])
        found = _FAMILY_OF.get(target) if self.update_rule == "auto" else self.update_rule
        if found is None:
            raise ConfigError(
                f"optim._target_={target}: expected an optimizer whose learning rates {name} "
                f"scales: {', '.join(_FAMILY_OF)}",
                "set model.param.update_rule=adamw if a step does not depend on the size of the "
                "gradient, =sgd if it is proportional to it, or model.param=standard",
            )
        if found not in self.families:
            raise ConfigError(
                f"optim._target_={target}: expected an optimizer for which {name} is defined: "
                f"{' or '.join(self.families)}",
                "set optim=adamw, model.param=mup or model.param=standard",
            )
        return found

    def factors(self, shape: ModelShape) -> Factors:
        """Return the factors of attention scores and logits."""
        return Factors(
            queries=math.sqrt(self.base_d_head / shape.d_head),
            logits=self.base_d_model / shape.d_model,
        )

    def init_rules(self, shape: ModelShape) -> Sequence[InitRule]:
        """Return the rules of initial weights; see the class."""
        layers = self._layer_ratio(shape)
        return [
            InitRule(
                one.pattern, one.kind, one.rows.ratio, one.columns.ratio, layers,
                initial_factor(one),
            )
            for one in self._roles(shape)
            if one.kind != VECTORS
        ]  # fmt: skip

    def group_rules(self, shape: ModelShape, optim: Mapping[str, Any]) -> Sequence[GroupRule]:
        """Return the multipliers of each parameter; see the class."""
        family = self.family(optim)
        rules = []
        for one in self._roles(shape):
            lr = lr_multiplier(family, one, str(optim.get("adjust_lr")))
            multipliers = Multipliers(lr, 1 / lr) * self._depth_multipliers(one, shape, family)
            rules.append(GroupRule(one.pattern, multipliers, one.kind))
        return rules

    def _layer_ratio(self, shape: ModelShape) -> float:
        return 1.0

    def _depth_multipliers(self, one: SizedRole, shape: ModelShape, family: str) -> Multipliers:
        return Multipliers()

    def _width_ratio(self, shape: ModelShape) -> float:
        return shape.d_model / self.base_d_model

    def _roles(self, shape: ModelShape) -> Iterator[SizedRole]:
        width = Size.of(shape.d_model, self.base_d_model)
        d_ff = width
        if self.base_d_ff is not None and shape.d_ff is not None:
            d_ff = Size.of(shape.d_ff, self.base_d_ff)
        return sized_roles(width=width, d_ff=d_ff, d_head=Size.of(shape.d_head, self.base_d_head))


class CompleteP(MuP):
    """Depth as well as width: Dey et al. 2025 (CompleteP), table 1, on top of :class:`MuP`.

    With m for the number of layers relative to the base shape, what each sublayer adds to the
    residual stream is multiplied by m^-alpha. Inside the blocks, the learning rate is multiplied by
    m^(alpha - 1), and AdamW's epsilon by m^-alpha and divided by the width relative to the base
    shape. Initial weights are those of the base depth. For Muon, whose steps do not depend on the
    size of the gradient either, the same factors are used without the epsilon.

    Args:
        base_d_model: D of the base shape, at which this is model.param=standard.
        base_d_head: K of the base shape.
        base_num_layers: L of the base shape.
        base_d_ff: F of the base shape; None for F in proportion to D.
        alpha: exponent of the depth, 0.5 to 1; CompleteP is 1.
        update_rule: ``adamw`` or ``muon``: which learning rates those of your own optimizer scale
            like; ``auto`` for the optimizers of lmlab.
    """

    families = (ADAMW, MUON)

    def __init__(
        self,
        *,
        base_d_model: int,
        base_d_head: int,
        base_num_layers: int,
        base_d_ff: int | None = None,
        alpha: float = 1.0,
        update_rule: str = "auto",
    ) -> None:
        super().__init__(
            base_d_model=base_d_model, base_d_head=base_d_head, base_d_ff=base_d_ff,
            update_rule=update_rule,
        )  # fmt: skip
        self.base_num_layers = base_num_layers
        self.alpha = alpha

    def check(self, shape: ModelShape, optim: Mapping[str, Any]) -> None:
        """Raise :class:`ConfigError` for settings out of range, or an optimizer without a rule."""
        super().check(shape, optim)
        if not 0.5 <= self.alpha <= 1:
            raise ConfigError(f"model.param.alpha={self.alpha}: expected 0.5 to 1")

    def factors(self, shape: ModelShape) -> Factors:
        """Return the factors of attention scores, sublayers and logits."""
        residual = self._layer_ratio(shape) ** -self.alpha
        return dataclasses.replace(super().factors(shape), residual=residual)

    def _layer_ratio(self, shape: ModelShape) -> float:
        return shape.num_layers / self.base_num_layers

    def _depth_multipliers(self, one: SizedRole, shape: ModelShape, family: str) -> Multipliers:
        if not one.in_block:
            return Multipliers()
        depth = self._layer_ratio(shape)
        uses_eps = family == ADAMW or one.kind == VECTORS
        width = 1.0 if one.role == SCALAR else self._width_ratio(shape)
        eps = depth**-self.alpha / width if uses_eps else 1.0
        return Multipliers(lr=depth ** (self.alpha - 1), eps=eps)
