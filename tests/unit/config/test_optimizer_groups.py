"""The form of optim.groups, checked without torch, and its place in the identity."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.config.compose import compose, load_frozen, to_yaml
from lmlab.config.identity_settings import identity_settings
from lmlab.errors import ConfigError

MUP = ["model.param=mup", "model.param.base_d_model=4", "model.param.base_d_head=4"]


def groups(*entries: str) -> str:
    return f"optim.groups=[{', '.join('{' + entry + '}' for entry in entries)}]"


def test_the_identity_holds_all_settings_in_order_and_nothing_without_groups(
    tmp_path: Path,
) -> None:
    one, other = "kind: head, lr: 0.1", "match: '*', optimizer: lion"
    configs = [compose([groups(one, other)]), compose([groups(other, one)])]
    first, second = (identity_settings(config)["optim"]["groups"] for config in configs)
    assert first == second[::-1] != second
    assert first[1]["optimizer"] == compose(["optim=lion"]).optim.as_dict()
    assert "groups" not in identity_settings(compose())["optim"]
    (tmp_path / "frozen.yaml").write_text(to_yaml(configs[0]))
    assert load_frozen(tmp_path / "frozen.yaml") == configs[0]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("match: '*', wd: 1", r"wd=1: unknown parameter of lmlab\.optim\.adamw\.adamw"),
        ("kind: embed, lr: 1", "kind=embed: expected one of matrices, embedding, head, gains"),
        ("lr: 1", "expected match, a pattern of names of parameters, or kind"),
        ("match: 3, lr: 1", "match=3: expected a pattern"),
        ("kind: head", "expected a setting that differs"),
        ("kind: head, lr: -1", "lr=-1: expected a finite number above 0"),
        ("kind: head, lr_multiplier: 0", "lr_multiplier=0: expected a finite number above 0"),
        ("kind: head, lr: fast", "lr=fast: expected a number"),
        ("kind: head, name: a b, lr: 1", "name=a b: expected letters"),
        ("kind: head, optimizer: lion, eps: 1", r"optimizer\.eps=1: unknown parameter"),
        ("kind: head, optimizer: {_target_: os.system}", r"optimizer\._target_=os\.system: expec"),
        ("kind: head, optimizer: {_target_: lmlab.nn.init.Normal}", "is meant for optim"),
    ],
)
def test_wrong_entries_are_refused_at_once(entry: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"^optim\.groups\[0\].*{reason}"):
        compose([groups(entry)])


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r'^optim=lino: .*\nhelp: did you mean "lion"'):
        compose([groups("kind: head, optimizer: lino")])


def test_a_parametrization_that_has_no_rule_for_an_optimizer_refuses_it_in_a_group() -> None:
    with pytest.raises(ConfigError, match=r"optim\._target_=.*soap: expected an optimizer whose l"):
        compose([*MUP, groups("kind: matrices, optimizer: soap")])
