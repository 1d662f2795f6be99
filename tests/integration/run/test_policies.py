"""Each policy: its losses, its bits, and its record in the run folder."""

from __future__ import annotations

import signal

import pytest
from processors import needs_bf16

from lmlab.build import factory
from lmlab.config.compose import compose
from lmlab.config.deprecated_keys import upgrade
from lmlab.errors import ConfigError
from lmlab.runs import auto_settings
from lmlab.runs.execute import execute
from lmlab.runtime.cpp_extension import find_compiler
from lmlab.runtime.signals import SignalHandler

POLICIES = ["exact", "fast", pytest.param("bf16", marks=needs_bf16)]
# Validation losses at steps 0, 10 and 20. Float32 products that are added in another order move
# them by parts in a million; bfloat16 rounds each product's factors to 8 bits, and what CPUs do
# between two roundings differs.
GOLDEN = {
    "exact": ([5.700182, 5.144925, 4.932989], 2e-5),
    "fast": ([5.700159, 5.144895, 4.932960], 2e-5),
    "bf16": ([5.700342, 5.145120, 4.932755], 5e-4),
}


def weights(run) -> bytes:
    return (run.checkpoints / "step_00000020" / "model.safetensors").read_bytes()


@pytest.mark.long
@pytest.mark.parametrize("kernels", ["torch's", "own"])
@pytest.mark.parametrize("policy", POLICIES)
def test_losses_bits_and_resume(overrides, monkeypatch, policy: str, kernels: str) -> None:
    """``own`` means the attention and fused linear maps of a compiled run, without compiling."""
    overrides = [*overrides, f"runtime.policy={policy}", "runtime.threads=2"]
    if kernels == "own":
        if find_compiler() is None:
            pytest.skip("no C++ compiler here")
        overrides.append("runtime.compile=true")
        monkeypatch.setattr(factory, "compile_objective", lambda objective, device: objective)
    straight = execute(compose([*overrides, "study=straight"])).run
    wanted, tolerance = GOLDEN[policy]
    losses = [row["loss"] for row in straight.rows("validation")]
    assert losses == pytest.approx(wanted, rel=tolerance)
    meta = straight.meta()
    assert meta["policy"]["name"] == policy == meta["identity"]["device"]["policy"]
    assert (meta["policy"]["probe"] is not None) == (policy == "fast")

    config = compose([*overrides, "study=cut", "reuse=false"])
    with monkeypatch.context() as patch:
        steps = iter(range(100))
        patch.setattr(SignalHandler, "should_stop", lambda self: _after(self, steps))
        assert execute(config).exit_code == 128 + signal.SIGTERM
    cut = execute(config).run
    assert len(cut.meta()["sessions"]) == 2
    assert weights(cut) == weights(straight)


def _after(stop: SignalHandler, steps) -> bool:
    """A stop request at the seventh check."""
    if next(steps) >= 7:
        stop.signal_number = signal.SIGTERM
    return stop.signal_number is not None


def test_policies_do_not_share_a_run(overrides) -> None:
    identities = set()
    for policy in ("exact", "fast"):
        config = compose([*overrides, f"runtime.policy={policy}"])
        identities.add(str(auto_settings.build_device(config).identity()))
    assert len(identities) == 2


def test_a_started_run_keeps_its_choice_to_compile(overrides, monkeypatch) -> None:
    config = compose([*overrides, "runtime.policy=fast", "runtime.compile=auto"])
    monkeypatch.setattr(auto_settings, "_pays_to_compile", lambda config, device: False)
    execute(config)
    monkeypatch.setattr(auto_settings, "_pays_to_compile", lambda config, device: True)
    assert not auto_settings.build_device(config).compile
    other = compose([*overrides, "runtime.policy=fast", "optim.lr=7e-3", "arm=default"])
    assert auto_settings.build_device(other).compile, "another configuration decides for itself"


@pytest.mark.parametrize("key", ["precision", "tf32", "deterministic"])
def test_removed_settings_name_their_replacement(overrides, key: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"runtime\.{key}: this setting was removed\nhelp: use runtime\.policy"
    ):
        compose([*overrides, f"runtime.{key}=true"])


def test_frozen_runs_with_removed_settings_can_be_read() -> None:
    old = {"runtime": {"precision": "fp32", "tf32": True, "deterministic": True, "threads": 1}}
    assert upgrade(old)["runtime"] == {"threads": 1, "policy": "exact"}
    assert upgrade({"runtime": {"policy": "fast"}}) == {"runtime": {"policy": "fast"}}
