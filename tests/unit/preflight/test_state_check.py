"""Every optimizer of torch and of lmlab passes the check; runs show what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.preflight.state_check import check_state
from lmlab.runs.auto_settings import choose_device

TORCH = ["ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam",
         "RMSprop", "Rprop", "SGD"]  # fmt: skip


@pytest.fixture
def option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    (tmp_path / "lmlab").mkdir()
    (tmp_path / "lmlab" / "config.yaml").write_text(f"search_path: [{tmp_path}]\n")
    (tmp_path / "optim").mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def write(text: str) -> str:
        (tmp_path / "optim" / "mine.yaml").write_text(text)
        return "optim=mine"

    return write


def test_all_optimizers_of_torch_that_can_train_pass(overrides, option) -> None:
    torch.set_num_threads(1)
    for name in TORCH:
        chosen = option(f"_target_: torch.optim.{name}\nlr: 0.01\n")
        spec = resolve(compose([*overrides, chosen]))
        before = torch.get_rng_state()
        check_state(spec, choose_device(spec))
        assert torch.equal(torch.get_rng_state(), before)
