"""Models that see the tokens that they predict are refused."""

from __future__ import annotations

from typing import Any

import pytest

from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.judge import causality
from lmlab.judge.causality import check_causality, names_other_code
from lmlab.nn.norm import RMSNorm

SMOKE = ["scale=smoke", "model.vocab_size=300"]


@pytest.mark.parametrize("choice", ["model.norm=post", "model.pos=alibi", "model.attention=gated"])
def test_components_of_lmlab_pass(choice: str) -> None:
    check_causality("idea", compose([*SMOKE, choice]))


def test_a_norm_over_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(self: Any, x: Any) -> Any:  # as a norm over all axes would
        return x / x.square().mean(dim=(-1, -2), keepdim=True).sqrt()

    monkeypatch.setattr(RMSNorm, "forward", forward)
    with pytest.raises(ConfigError, match="mine: its model sees the tokens"):
        check_causality("mine", compose(SMOKE))


def test_a_model_of_nothing_but_nan_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RMSNorm, "forward", lambda self, x: x * float("nan"))
    with pytest.raises(ConfigError, match="its model sees"):
        check_causality("mine", compose(SMOKE))


def test_other_code_is_told_from_that_of_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    config = compose(SMOKE)
    monkeypatch.setattr(causality, "numeric_code", lambda settings: {})
    assert not names_other_code(config)
    monkeypatch.setattr(causality, "user_code", lambda settings: {"version of torchx": "1"})
    assert not names_other_code(config)
    monkeypatch.setattr(causality, "user_code", lambda settings: {"mine": "0123"})
    assert names_other_code(config)
