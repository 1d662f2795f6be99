"""What a configuration resolves to: the values that were set, in the form the parts take."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lmlab.build.run_spec import RunSpec, resolve
from lmlab.config.compose import compose, load_frozen, settings_to_yaml
from lmlab.config.run_config import Component, RunConfig

# Every setting has a value of its own, so that none can be mistaken for another.
DISTINCT = [
    "study=s", "arm=x", "seed=4", "seeds.init=101", "seeds.data=102", "seeds.sampling=103",
    "output_root=elsewhere", "parent=some/run", "reuse=false", "model.vocab_size=301",
    "model.context_length=23", "training.steps=31", "training.batch_size=24",
    "training.micro_batch_size=6", "training.grad_clip_norm=0.7", "training.log_every=9",
    "training.divergence_margin=3.25", "validation.every_steps=11", "validation.batch_size=13",
    "validation.max_tokens=4001", "checkpoint.every_steps=17", "checkpoint.keep_last=5",
    "checkpoint.keep_steps=[19]", "samples.prompts=[a,b,c]", "samples.count=7",
    "samples.max_new_tokens=29", "samples.temperature=0.6", "samples.top_k=37",
    "samples.top_p=0.9", "runtime.device=cpu", "runtime.policy=fast", "runtime.compile=false",
    "runtime.threads=2", "runtime.preflight=warn", "runtime.beside=3", "runtime.parallel=zero1",
    "runtime.cuda_graph=false", "schedule.warmup_steps=2", "logger=none",
]  # fmt: skip


@pytest.fixture(scope="module")
def spec() -> RunSpec:
    return resolve(compose(DISTINCT))


def test_each_part_has_the_value_that_was_set(spec: RunSpec) -> None:
    workload, samples, device = spec.workload, spec.samples, spec.device
    assert (spec.study, spec.arm, spec.seed, spec.parent, spec.reuse) == (
        "s", "x", 4, "some/run", False,
    )  # fmt: skip
    assert (spec.init_seed, spec.data_seed, samples.seed) == (101, 102, 103)
    assert spec.output_root == Path("elsewhere")
    assert spec.cache_folder == spec.data.cache_folder == Path("elsewhere/cache")
    assert spec.named_folder == Path("elsewhere/s/x/seed4")
    assert (spec.data.vocab_size, spec.data.context_length) == (301, 23)
    assert (workload.vocab_size, workload.context_length) == (301, 23)
    assert (workload.steps, workload.batch_size, workload.micro_batch_size) == (31, 24, 6)
    assert (workload.grad_clip_norm, workload.log_every) == (0.7, 9)
    assert (spec.divergence_margin, spec.preflight) == (3.25, "warn")
    assert (workload.validate_every, workload.validation_batch_size) == (11, 13)
    assert workload.validation_max_tokens == 4001
    assert (workload.save_every, workload.keep_last, workload.keep_steps) == (17, 5, (19,))
    assert (workload.num_samples, workload.sample_tokens) == (21, 29)
    assert (samples.prompts, samples.count, samples.max_new_tokens) == (("a", "b", "c"), 7, 29)
    assert (samples.temperature, samples.top_k, samples.top_p) == (0.6, 37, 0.9)
    assert (device.device, device.policy, device.compile) == ("cpu", "fast", False)
    assert (device.threads, device.parallel, device.cuda_graph) == (2, "zero1", False)
    assert workload.concurrent_jobs == 3


def test_components_keep_target_and_parameters() -> None:
    config = compose([*DISTINCT, "optim.lr=0.0123", "logger=wandb"])
    spec = resolve(config)
    for bound, component in (
        (spec.optimizer, config.optim), (spec.schedule, config.schedule),
        (spec.initializer, config.model.init), (spec.trackers["logger"], config.logger),
        (spec.data.source, config.data), (spec.data.tokenizer, config.tokenizer),
    ):  # fmt: skip
        assert (bound.target, bound.parameters) == (component.target, component.parameters)
    assert spec.optimizer.parameters["lr"] == 0.0123


def test_the_recorded_settings_compose_the_same_run(spec: RunSpec, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(settings_to_yaml(spec.settings))
    assert resolve(load_frozen(file)).settings == spec.settings
    assert yaml.safe_load(file.read_text()) == spec.settings


def test_nothing_of_the_configuration_s_own_types_is_left() -> None:
    """What a part receives is plain values and bound targets."""

    def check(value: Any, where: str) -> None:
        assert not isinstance(value, RunConfig | Component), where
        assert not type(value).__module__.startswith("lmlab.config"), where
        if dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                check(getattr(value, field.name), f"{where}.{field.name}")
        if isinstance(value, dict):
            for key, inner in value.items():
                check(inner, f"{where}[{key}]")

    check(resolve(compose(DISTINCT)), "spec")


def test_resolving_imports_no_component(tmp_path: Path) -> None:
    """A wrong target fails when the part is built; a sweep resolves many runs it never builds."""
    code = (
        "import sys; from lmlab.config.compose import compose; "
        "from lmlab.build.run_spec import resolve; "
        "config = compose(['logger=trackio', 'optim=muon', 'data=toystories']); "
        "before = set(sys.modules); resolve(config); print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
