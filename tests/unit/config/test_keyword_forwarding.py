"""Parameters behind ``**kwargs`` are checked where source code shows what takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from user_settings_file import use_settings

from lmlab.config.compose import compose
from lmlab.errors import ConfigError

SOURCE = """
import torch
from typing import TypedDict, Unpack

class Base:
    def __init__(self, params, lr=1e-3, warmup=0, **kwargs):
        self.decay = kwargs.pop("decay", 0.0)

class Forwarded(Base):
    def __init__(self, params, lr=1e-3, **kwargs):
        super().__init__(params, lr, **kwargs)

def of_torch(params, **kwargs):
    from torch.optim import AdamW as Chosen
    return Chosen(params, foreach=False, **kwargs)

class Mixin:
    def describe(self): ...

class Inheriting(Mixin, Base): ...

class Mixed(Mixin, Base):
    def __init__(self, params, lr=1e-3, **kwargs):
        super().__init__(params, lr, **kwargs)

class Ignoring:
    def __init__(self, params, lr=1e-3, weight_decay=0.0, **kwargs):
        self.lr = lr

class Options(TypedDict, total=False):
    momentum: float

def typed(params, lr, **kwargs: Unpack[Options]):
    return kwargs

def open_end(params, lr=1e-3, weight_decay=0.0, **kwargs):
    return dict(kwargs)

def documented(params, lr=1e-3, **kwargs):
    '''Make it.

    Args:
        params: groups.
        lr: rate.
        rho (float): of the past.
    '''
    return dict(kwargs)
"""


@pytest.fixture
def optimizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "kwargs_of_test.py").write_text(SOURCE)
    text = f"trusted_packages: [kwargs_of_test]\nsearch_path: [{tmp_path / 'conf'}]\n"
    use_settings(tmp_path, monkeypatch, text)
    (tmp_path / "conf" / "optim").mkdir(parents=True)

    def compose_with(name: str, key: str) -> dict[str, Any]:
        file = tmp_path / "conf" / "optim" / "mine.yaml"
        file.write_text(f"_target_: kwargs_of_test.{name}\nlr: 1.0\n")
        return compose(["optim=mine", f"optim.{key}=0.5"]).optim.as_dict()

    return compose_with


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Forwarded", "warmup"), ("Forwarded", "decay"), ("of_torch", "weight_decay"),
        ("Inheriting", "warmup"), ("Mixed", "decay"),
        ("typed", "momentum"), ("documented", "rho"), ("open_end", "anything"),
    ],
)  # fmt: skip
def test_a_name_that_something_takes_is_valid(optimizer, name: str, key: str) -> None:
    assert optimizer(name, key)[key] == 0.5


@pytest.mark.parametrize(
    ("name", "key", "meant"),
    [
        ("Forwarded", "warmpu", "warmup"),
        ("Forwarded", "dcay", "decay"),
        ("Inheriting", "warmpu", "warmup"),
        ("Mixed", "dcay", "decay"),
        ("of_torch", "weight_dcay", "weight_decay"),
        ("of_torch", "foreach", None),  # the function passes its own
        ("Ignoring", "weight_dcay", "weight_decay"),
        ("Ignoring", "anything", None),  # it would have no effect
        ("typed", "momentm", "momentum"),
        ("open_end", "weight_dcay", "weight_decay"),  # too similar to be another one
    ],
)
def test_a_name_that_nothing_takes_is_refused(
    optimizer, name: str, key: str, meant: str | None
) -> None:
    with pytest.raises(ConfigError, match=rf"optim\.{key}=0\.5: unknown parameter") as caught:
        optimizer(name, key)
    if meant:
        assert caught.value.help == f'did you mean "optim.{meant}"?'


def test_a_name_that_cannot_be_checked_is_logged_once(
    optimizer, caplog: pytest.LogCaptureFixture
) -> None:
    optimizer("open_end", "unseen")
    optimizer("open_end", "unseen")
    assert [each.getMessage() for each in caplog.records] == [
        "optim.unseen: kwargs_of_test.open_end takes any parameter, so that this name is not "
        "checked"
    ]
