"""Settings left at ``auto`` are chosen once, and kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.runs import auto_settings
from lmlab.runs.execute import execute
from lmlab.runtime.precision import PrecisionPolicy, time_matmuls


@pytest.fixture
def fast(overrides: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Overrides of a run on a machine with a second, sufficiently accurate float32 product."""
    monkeypatch.setattr(
        "lmlab.runtime.device.resolve_policy",
        lambda name, device: PrecisionPolicy(name, "medium", {"error": 0.0}),
    )
    monkeypatch.setattr(auto_settings, "MIN_UPDATE_FLOPS", 1)
    auto_settings._on_this_machine.cache_clear()
    yield [*overrides, "runtime.policy=fast"]
    auto_settings._on_this_machine.cache_clear()


def taking(monkeypatch: pytest.MonkeyPatch, plain: float, other: float) -> list[int]:
    """Fake the times of the products, in seconds; the list grows with each measurement."""
    calls: list[int] = []

    def measure(step: Any, settings: Any) -> dict[str, float]:
        step()
        calls.append(1)
        return dict(zip(settings, (plain, other), strict=True))

    monkeypatch.setattr(auto_settings, "time_matmuls", measure)
    return calls


@pytest.mark.parametrize(
    ("other", "chosen"), [(0.5, "medium"), (0.99, "highest"), (1.5, "highest")]
)
def test_a_faster_product_is_chosen_where_the_gain_is_worthwhile(
    fast: list[str], monkeypatch: pytest.MonkeyPatch, other: float, chosen: str
) -> None:
    config = compose(fast)
    calls = taking(monkeypatch, 1.0, other)
    assert auto_settings.build_device(config).policy.matmul_precision == chosen
    taking(monkeypatch, 1.0, 1.0 if chosen == "medium" else 0.1)
    assert auto_settings.build_device(config).policy.matmul_precision == chosen, (
        "a rerun must find its run"
    )
    assert calls == [1]


def test_a_started_run_keeps_its_choices_without_the_cache(
    fast: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = compose([*fast, "arm=a"])
    taking(monkeypatch, 1.0, 0.5)
    run = execute(config).run
    (kept,) = (Path(config.output_root) / "cache" / "products").iterdir()
    kept.unlink()
    taking(monkeypatch, 1.0, 2.0)
    assert auto_settings.build_device(config).policy.matmul_precision == "medium"
    assert execute(config).run == run
    same = compose([*fast, "arm=a", "training.micro_batch_size=4"])  # that of the full batch
    assert auto_settings.build_device(same).policy.matmul_precision == "medium"
    other = compose([*fast, "arm=a", "optim.lr=7e-3"])
    assert auto_settings.build_device(other).policy.matmul_precision == "highest", (
        "another run chooses for itself"
    )
    for odd in (3, [], {"device": 3}, {"device": {}}):
        run.write_meta({"identity": odd})
        assert auto_settings.build_device(config).policy.matmul_precision == "highest"


def test_a_small_model_keeps_the_plain_product(
    fast: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto_settings, "MIN_UPDATE_FLOPS", 1e9)
    calls = taking(monkeypatch, 1.0, 0.1)
    assert auto_settings.build_device(compose(fast)).policy.matmul_precision == "highest"
    assert calls == []


def test_a_model_that_memory_cannot_hold_is_not_measured(
    fast: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = compose([*fast, "model.vocab_size=1000000000"])
    calls = taking(monkeypatch, 1.0, 0.1)
    assert auto_settings.build_device(config).policy.matmul_precision == "highest"
    monkeypatch.setattr(auto_settings, "free_memory", lambda device: 0)
    assert auto_settings.build_device(compose(fast)).policy.matmul_precision == "highest"
    assert calls == []
    with pytest.raises(
        ConfigError, match=r"^model\.vocab_size=1000000000: training on one sequence"
    ):
        execute(config)
    assert not (Path(config.output_root) / "cache" / "tokenizers").exists()


def test_the_probe_of_a_long_context_is_short(fast: list[str]) -> None:
    config = compose([*fast, "model.context_length=100000000", "model.num_layers=3"])
    probe = auto_settings._probe(resolve(config).workload)
    assert (probe.model["num_layers"], probe.batch_size) == (1, 1)
    assert probe.context_length < 100_000


def test_the_exact_policy_measures_nothing(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = taking(monkeypatch, 1.0, 0.1)
    device = auto_settings.build_device(compose([*overrides, "runtime.policy=exact"]))
    assert (device.policy.matmul_precision, calls) == ("highest", [])


def test_times_are_measured_under_each_setting() -> None:
    former, seen = torch.get_float32_matmul_precision(), []
    found = time_matmuls(
        lambda: seen.append(torch.get_float32_matmul_precision()), ("highest", "medium")
    )
    assert seen[:4] == ["highest", "medium", "highest", "medium"]
    assert set(found) == {"highest", "medium"}
    assert torch.get_float32_matmul_precision() == former, "put back"
