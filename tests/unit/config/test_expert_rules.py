from __future__ import annotations

import pytest

from lmlab.config.compose import compose
from lmlab.errors import ConfigError


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("num_experts=0", "num_experts=0: expected 1 or more"),
        ("top_k=0", "top_k=0: expected 1 or more, and at most model.ffn.num_experts=8"),
        ("top_k=9", "top_k=9: expected 1 or more, and at most model.ffn.num_experts=8"),
        ("num_shared_experts=-1", "num_shared_experts=-1: expected 0 or more"),
        ("scores=tanh", "scores=tanh: expected one of softmax, sigmoid"),
        ("balance_coefficient=-1", "balance_coefficient=-1: expected a finite number of 0 or more"),
        ("balance_coefficient=nan", "balance_coefficient=nan: "),
        ("z_loss_coefficient=inf", "z_loss_coefficient=inf: "),
        ("bias_update_rate=0", "bias_update_rate=0: expected a finite number above 0, or null for"),
        (
            "capacity_factor=0",
            "capacity_factor=0: expected a finite number above 0, or null for no",
        ),
        ("capacity_factor=-1.5", "capacity_factor=-1.5: "),
        ("top_k=two", "top_k=two: expected an integer"),
        ("experts=4", "experts=4: "),
    ],
)
def test_wrong_settings_of_experts_are_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        compose(["model.ffn=moe", f"model.ffn.{override}"])
    assert f"model.ffn.{message}" in str(error.value)


def test_settings_at_the_ends_of_the_ranges_are_accepted() -> None:
    settings = ["num_experts=1", "top_k=1", "capacity_factor=0.1", "bias_update_rate=1e-9"]
    ffn = compose(["model.ffn=moe", *(f"model.ffn.{one}" for one in settings)]).model.ffn
    assert (ffn.num_experts, ffn.top_k) == (1, 1)
