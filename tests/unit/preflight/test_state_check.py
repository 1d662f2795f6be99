"""Every optimizer of torch and of lmlab passes the check; runs show what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from optimizer_cases import TORCH_OPTIMIZERS

from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.preflight.state_check import check_state
from lmlab.runs.auto_settings import choose_device


@pytest.fixture
def option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    (tmp_path / "lmlab").mkdir()
    (tmp_path / "lmlab" / "config.yaml").write_text(
        f"search_path: [{tmp_path}]\ntrusted_packages: [forgetful_optimizer]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "optim").mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def write(text: str) -> str:
        (tmp_path / "optim" / "mine.yaml").write_text(text)
        return "optim=mine"

    return write


def test_all_optimizers_of_torch_that_can_train_pass(overrides, option) -> None:
    torch.set_num_threads(1)
    for name in TORCH_OPTIMIZERS:
        chosen = option(f"_target_: torch.optim.{name}\nlr: 0.01\n")
        spec = resolve(compose([*overrides, chosen]))
        before = torch.get_rng_state()
        check_state(spec, choose_device(spec))
        assert torch.equal(torch.get_rng_state(), before)


FORGETFUL = """
import collections
import numpy as np
import torch

class Memory:
    rate = 0.5

class Forgetful(torch.optim.SGD):
    \"\"\"Uses from the second step what its first step made.\"\"\"
    def __init__(self, params, *, lr: float, kind: str):
        super().__init__(params, lr=lr)
        self.kind, self.count = kind, 0
    def step(self, closure=None):
        if self.count == 0:
            made = {"array": np.full(1, 0.5), "deque": collections.deque([0.5]), "object": Memory()}
            self.memory = made[self.kind]
        self.count += 1
        rate = self.memory.rate if self.kind == "object" else float(self.memory[0])
        for group in self.param_groups:
            group["lr"] *= rate
        return super().step(closure)
"""


def test_steps_that_fail_after_a_restore_are_state_that_is_lost(
    overrides, option, tmp_path: Path
) -> None:
    (tmp_path / "forgetful_optimizer.py").write_text(FORGETFUL)
    for kind in ("array", "deque", "object"):
        chosen = option(f"_target_: forgetful_optimizer.Forgetful\nlr: 0.01\nkind: {kind}\n")
        spec = resolve(compose([*overrides, chosen]))
        if kind == "object":
            with pytest.raises(ConfigError, match="memory changes during training and is not part"):
                check_state(spec, choose_device(spec))
        else:
            check_state(spec, choose_device(spec))
