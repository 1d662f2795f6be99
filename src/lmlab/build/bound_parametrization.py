"""The parametrization of a run, applied to the shape of its model."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.build.instantiate import BoundTarget, bind
from lmlab.config.auto_width import feed_forward_width
from lmlab.config.run_config import Model
from lmlab.optim.groups import GroupRule
from lmlab.optim.parametrization import Factors, InitRule, ModelShape, Parametrization


@dataclasses.dataclass(frozen=True)
class BoundParametrization:
    """Everything that a parametrization says about one model; computed when first asked.

    Attributes:
        target: makes the parametrization.
        model: the node ``model`` of the configuration as plain values.
    """

    target: BoundTarget
    model: Mapping[str, Any]

    @classmethod
    def of(cls, model: Model) -> BoundParametrization:
        """Bind the parametrization of a node ``model``, without importing it."""
        return cls(bind(model.param), model.as_dict())

    @functools.cached_property
    def shape(self) -> ModelShape:
        """The shape that is compared with the base shape."""
        return ModelShape.of(self.model, feed_forward_width(self.model))

    @functools.cached_property
    def _parametrization(self) -> Parametrization:
        parametrization: Parametrization = self.target()
        return parametrization

    def factors(self) -> Factors:
        """Return the factors of the forward pass."""
        return self._parametrization.factors(self.shape)

    def init_rules(self) -> Sequence[InitRule]:
        """Return the rules of initial weights."""
        return self._parametrization.init_rules(self.shape)

    def group_rules(self, optim: Mapping[str, Any]) -> Sequence[GroupRule]:
        """Return the multipliers of parameters for a node ``optim`` as plain values."""
        return self._parametrization.group_rules(self.shape, optim)
