"""Ranges of the settings of the parts of a model."""

from __future__ import annotations

import pytest

from lmlab.config.compose import compose
from lmlab.config.part_rules import head_width_multiple, part_rules
from lmlab.errors import ConfigError

SCALING = "factor:8,low_freq_factor:1,high_freq_factor:4,original_context_length:64"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("model.pos.theta=0", "model.pos.theta=0"),
        ("model.pos.theta=inf", "model.pos.theta=inf: expected a finite number above 0"),
        ("model.norm=dyt model.norm.alpha=0", "model.norm.alpha=0: expected a finite number ab"),
        ("model.norm=dyt model.norm.alpha=nan", "model.norm.alpha=nan: expected a finite number"),
        (
            "model.pos=partial_rope model.pos.fraction=0",
            "model.pos.fraction=0: expected a number above 0 and at most 1",
        ),
        ("model.pos=partial_rope model.pos.fraction=1.1", "model.pos.fraction=1.1: expected"),
        ("model.pos=partial_rope model.pos.theta=0", "model.pos.theta=0: expected a finite"),
        (
            "model.pos=partial_rope model.pos.fraction=0.05",
            "model.pos.fraction=0.05: expected a fraction that rotates a pair of the features of a "
            "head or more, and a head has 32\nhelp: set model.pos.fraction=0.0625 or more",
        ),
        (
            "model.pos=partial_rope model.num_heads=128",
            "and a head has 1\nhelp: set a smaller model.num_heads",
        ),
        (
            "model.pos.scaling={factor:8,low_freq_factor:1}",
            "model.pos.scaling: expected high_freq_factor, original_context_length, too\nhelp: set "
            "model.pos.scaling={factor:8,",
        ),
        (
            f"model.pos.scaling={{{SCALING},lowfreq:1}}",
            "model.pos.scaling.lowfreq=1: expected one of factor, low_freq_factor, "
            'high_freq_factor, original_context_length\nhelp: did you mean "low_freq_factor"?',
        ),
        (
            f"model.pos.scaling={{{SCALING.replace('factor:8', 'factor:0.5', 1)}}}",
            "model.pos.scaling.factor=0.5: expected 1 or more",
        ),
        (
            f"model.pos.scaling={{{SCALING.replace('high_freq_factor:4', 'high_freq_factor:1')}}}",
            "model.pos.scaling.high_freq_factor=1: expected a number above "
            "model.pos.scaling.low_freq_factor=1",
        ),
        (
            f"model.pos.scaling={{{SCALING.replace('64', '0')}}}",
            "model.pos.scaling.original_context_length=0: expected a finite number above 0",
        ),
        ("model.pos.scaling=8", "model.pos.scaling=8: expected a mapping, {name: value} or null"),
        ("model.attention.window=0", "model.attention.window=0: expected 1 token or more, or null"),
        (
            "model.attention.window=8 model.attention.window_pattern=[local,all]",
            "model.attention.window_pattern=['local', 'all']: expected a list of local and global",
        ),
        (
            "model.attention=gated model.attention.window_pattern=[local,global]",
            "model.attention.window_pattern=['local', 'global']: expected [local] with model.att",
        ),
        (
            "model.attention=mla model.attention.kv_lora_rank=0",
            "model.attention.kv_lora_rank=0: expected 1 or more, or null",
        ),
        (
            "model.attention=mla model.attention.d_rope=3",
            "model.attention.d_rope=3: expected an even number, whose pairs model.pos rotates",
        ),
        (
            "model.attention=mla model.attention.d_nope=4 model.attention.d_value=21",
            "model.attention.d_value=21: expected at most d_nope + d_rope = 20",
        ),
        (
            "model.attention=mla model.attention.d_nope=4",
            "model.attention: expected values no wider than keys, found values of 32 and keys of "
            "d_nope + d_rope = 20\nhelp: set model.attention.d_value=20",
        ),
        (
            "model.attention=mla model.attention.latent_norm_eps=-1",
            "model.attention.latent_norm_eps=-1: expected a finite number of 0 or more",
        ),
        (
            "model.attention=mla model.attention.d_rope=2 model.pos=partial_rope",
            "model.pos.fraction=0.5: expected a fraction that rotates a pair of the features",
        ),
    ],
)
def test_each_rule_names_key_value_and_valid_values(overrides: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(overrides.split())
    assert message in str(caught.value), str(caught.value)


def test_odd_head_widths_are_valid_without_rope() -> None:
    for pos in ("nope", "alibi"):
        assert compose(["model.num_heads=128", f"model.pos={pos}"]).model.num_heads == 128


@pytest.mark.parametrize(
    ("overrides", "multiple"),
    [("model.pos=rope", 2), ("model.pos=nope", 1), ("model.attention=mla model.pos=rope", 1)],
)
def test_only_heads_that_are_rotated_as_a_whole_are_even(overrides: str, multiple: int) -> None:
    assert head_width_multiple(compose(overrides.split()).model.as_dict()) == multiple


@pytest.mark.parametrize(
    "overrides",
    [
        "model.pos=partial_rope model.pos.fraction=1",
        "model.pos=partial_rope model.pos.fraction=0.0625",
        "model.attention.window=1",
        "model.attention.window=8 model.attention.window_pattern=[local,global]",
        "model.attention=mla model.attention.d_nope=4 model.attention.d_value=20",
        f"model.pos.scaling={{{SCALING}}}",
    ],
)
def test_boundary_values_are_valid(overrides: str) -> None:
    model = compose(overrides.split()).model.as_dict()
    rules = list(part_rules(model))
    assert rules and all(is_valid for _, is_valid, _ in rules)
