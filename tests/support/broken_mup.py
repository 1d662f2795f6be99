"""muP with one multiplier left out, for tests that must notice it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.optim.groups import GroupRule, Multipliers
from lmlab.optim.parametrization import Factors, InitRule, ModelShape, MuP

LEFT_OUT = ("hidden_lr", "logits", "hidden_init", "queries")


class MuPWithout(MuP):
    """:class:`lmlab.optim.parametrization.MuP` without one of its multipliers.

    Set it in a configuration with ``broken_mup`` among the trusted packages:
    ``model.param._target_=broken_mup.MuPWithout +model.param.without=hidden_lr``, after
    ``model.param=mup``.

    Args:
        without: ``hidden_lr``: matrices in the blocks keep the rate and weight decay of the base
            shape. ``logits``: logits are not divided by the width. ``hidden_init``: matrices in the
            blocks keep the spread of the base shape. ``queries``: scores stay divided by sqrt(K).
        settings: see the base class.
    """

    def __init__(self, *, without: str, **settings: Any) -> None:
        super().__init__(**settings)
        assert without in LEFT_OUT, without
        self.without = without

    def factors(self, shape: ModelShape) -> Factors:
        factors = super().factors(shape)
        left_out = {self.without: 1.0} if self.without in ("logits", "queries") else {}
        return dataclasses.replace(factors, **left_out)

    def init_rules(self, shape: ModelShape) -> Sequence[InitRule]:
        rules = super().init_rules(shape)
        if self.without != "hidden_init":
            return rules
        return [dataclasses.replace(rule, factor=1.0) for rule in rules]

    def group_rules(self, shape: ModelShape, optim: Mapping[str, Any]) -> Sequence[GroupRule]:
        rules = super().group_rules(shape, optim)
        if self.without != "hidden_lr":
            return rules
        return [
            dataclasses.replace(rule, multipliers=Multipliers()) if rule.kind == "hidden" else rule
            for rule in rules
        ]


def overrides(without: str) -> list[str]:
    """Settings that choose the broken muP; add the base shape."""
    return ["model.param=mup", "model.param._target_=broken_mup.MuPWithout",
            f"+model.param.without={without}"]  # fmt: skip


def trust(folder: Any, monkeypatch: Any) -> None:
    """Trust this module in the user settings below ``folder``, in this process and its children."""
    (folder / "lmlab").mkdir(parents=True, exist_ok=True)
    (folder / "lmlab" / "config.yaml").write_text("trusted_packages: [broken_mup]\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
