"""Parts as a user writes them in a trusted package: random layers, odd layers, odd optimizers."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def trust(folder: Path, monkeypatch: Any = None) -> None:
    """Trust this module in the user settings below ``folder``, in this process."""
    import os

    settings = folder / "lmlab" / "config.yaml"
    if not settings.exists():  # ranks that write it anew could read each other's empty file
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text("trusted_packages: [own_parts]\n")
    if monkeypatch is None:
        os.environ["XDG_CONFIG_HOME"] = str(folder)
    else:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))


class Random(nn.Module):
    """Draws from all three sources of random numbers, and holds a table drawn at construction."""

    def __init__(self, *, d_model: int, d_ff: int, p: float = 0.2) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)
        self.register_buffer("table", torch.rand(d_ff), persistent=False)
        self.dropout = nn.Dropout(p)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.up(x)) * self.table
        if self.training:
            hidden = self.dropout(hidden) * (random.random() + float(np.random.rand()))
        out: Tensor = self.down(hidden)
        return out


class TorchRandom(Random):
    """Draws from torch's generator only."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down(self.dropout(torch.relu(self.up(x))))
        return out


class PythonRandom(Random):
    """Draws from Python's generator only."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down(torch.relu(self.up(x))) * random.random()
        return out


class Statistics(nn.Module):
    """Subtracts a running mean, held as ``how`` says."""

    def __init__(self, *, d_model: int, d_ff: int, how: str) -> None:
        super().__init__()
        self.up = nn.Linear(d_model, d_ff, bias=False)
        self.down = nn.Linear(d_ff, d_model, bias=False)
        self.how = how
        if how == "attribute":
            self.mean = torch.zeros(d_ff)
        else:
            self.register_buffer("mean", torch.zeros(d_ff), persistent=how == "saved")

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.up(x))
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * hidden.detach().float().flatten(0, -2).mean(0)
        out: Tensor = self.down(hidden - self.mean.to(hidden.dtype))
        return out


class Sign(torch.optim.Optimizer):
    """Moves by the sign of the gradient; its variants keep the number of steps in odd places."""

    def __init__(self, params: Any, *, lr: float) -> None:
        super().__init__(params, {"lr": lr})

    def number_of_steps(self) -> float:
        """Count this step, and return how many there were."""
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        scale = 1 / self.number_of_steps()
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.sub_(parameter.grad.sign(), alpha=group["lr"] * scale)


class InAttribute(Sign):
    """In an attribute outside the state dict."""

    total = 0

    def number_of_steps(self) -> float:
        self.total += 1
        return self.total


class InFurtherEntry(InAttribute):
    """In a further entry of the state dict; the attribute has a setter that refuses others."""

    __slots__ = ("_hidden",)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"further": {"total": self.hidden.total}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.hidden.total = state_dict["further"]["total"]

    @property
    def hidden(self) -> Counter:
        if not hasattr(self, "_hidden"):
            self._hidden = Counter()
        return self._hidden

    def number_of_steps(self) -> float:
        return self.hidden.next()


class Counter:
    """An object with state, which no checkpoint holds."""

    def __init__(self) -> None:
        self.total = 0

    def next(self) -> int:
        self.total += 1
        return self.total


class TensorInGroup(Sign):
    """In a tensor of a parameter group."""

    def number_of_steps(self) -> float:
        group = self.param_groups[0]
        group["total"] = group.get("total", torch.zeros((), dtype=torch.float64)) + 1
        return float(group["total"])


class ListInState(Sign):
    """In int64 within a list within a parameter's state, next to a string."""

    def number_of_steps(self) -> float:
        state = self.state[self.param_groups[0]["params"][0]]
        big = 2**40
        counts = state.setdefault("counts", [torch.tensor(big), "text"])
        counts[0] += 1
        assert counts[1] == "text"
        return int(counts[0]) - big


class ObjectInGroup(Sign):
    """In a Python object of a parameter group."""

    def number_of_steps(self) -> float:
        counter: Counter = self.param_groups[0].setdefault("counter", Counter())
        return counter.next()


class ObjectInAttribute(Sign):
    """In a Python object in an attribute."""

    def __init__(self, params: Any, *, lr: float) -> None:
        super().__init__(params, lr=lr)
        self.counter = Counter()

    def number_of_steps(self) -> float:
        return self.counter.next()


class NeedsClosure(Sign):
    """Takes a closure in any case."""

    def step(self, closure: Any) -> None:  # type: ignore[override]
        closure()


class NoRate(torch.optim.Optimizer):
    """Has no learning rate."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {})

    def step(self, closure: Any = None) -> None:
        """Do nothing."""


class Undeclared(torch.optim.Optimizer):
    """Needs whole matrices, and does not say so."""

    def __init__(self, params: Any, *, lr: float) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for weight in group["params"]:
                weight.sub_(weight.grad / weight.grad.norm(), alpha=group["lr"])


class OfElements(Undeclared):
    """Says that it works on elements."""

    update_unit = "element"

    def step(self, closure: Any = None) -> None:
        super().step(closure)


class OfTensors(OfElements):
    """Says that it works on tensors."""

    update_unit = "tensor"


class OfModel(OfElements):
    """Says that it needs all tensors."""

    update_unit = "model"


class Counting:
    """A schedule that counts its calls."""

    calls = 0


def counting_schedule(step: int, *, total_steps: int) -> float:
    Counting.calls += 1
    return 1 / Counting.calls


def text_schedule(step: int, *, total_steps: int) -> str:
    return "half"


class Width(nn.Module):
    """A layer as README describes one, without a default width."""

    seen: int | None = None

    def __init__(self, *, d_model: int, d_ff: int) -> None:
        super().__init__()
        Width.seen = d_ff
        self.up, self.down = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down(torch.relu(self.up(x)))
        return out


class TwoRates(torch.optim.SGD):
    """SGD with half the rate for everything outside the blocks."""

    def __init__(self, params: Any, *, lr: float) -> None:
        groups = [group | {"lr": lr if group["name"] == "hidden" else lr / 2} for group in params]
        super().__init__(groups, lr=lr)


def widest(model: nn.Module, step: int, tokenizer: Any, *, scale: float = 1.0) -> dict[str, Any]:
    """A callback that reads, evaluates the model and draws random numbers."""
    assert not model.training and not torch.is_grad_enabled()
    ids = torch.randint(0, tokenizer.vocab_size, (1, 8))
    draws = float(torch.rand(())) + random.random() + float(np.random.rand())
    largest = max(parameter.abs().max() for parameter in model.parameters())
    return {"largest": scale * largest, "logit": model(ids)[0, -1].max(), "draws": draws}


def writes(model: nn.Module, how: str) -> None:
    """A callback that changes what it should not."""
    parameter = next(model.parameters())
    if how == "weights":
        parameter.data[0, 0] += 1e-6  # which PyTorch's own version counter does not notice
    elif how == "hook":
        model.register_forward_hook(lambda *given: None)
    elif how == "threads":
        torch.set_num_threads(torch.get_num_threads() + 1)
    elif how == "gradients":
        with torch.enable_grad():
            model(torch.zeros(1, 2, dtype=torch.long)).sum().backward()
    elif how == "mode":
        model.train()
    elif how == "raises":
        raise RuntimeError("no luck")
    elif how == "text":
        return {"value": "text"}  # type: ignore[return-value]


def first_norm(model: nn.Module) -> dict[str, float]:
    """A callback that measures the first weights that it sees."""
    return {"norm": float(next(model.parameters()).norm())}
