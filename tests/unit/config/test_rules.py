from __future__ import annotations

import pytest

from lmlab.config.compose import compose
from lmlab.errors import ConfigError


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("study=a/b", "study=a/b: expected a folder name"),
        ("study='..'", "study=..: "),
        ("arm='a b'", "arm=a b: "),
        ("output_root=''", "output_root=: "),
        ("model.context_length=0", "model.context_length=0: expected 1 or more"),
        ("model.num_layers=0", "model.num_layers=0"),
        (
            "model.num_heads=3",
            "model.num_heads=3: expected a divisor of model.d_model=128\n"
            "help: set model.num_heads=2 or 4, or model.d_model=126 or 132",
        ),
        (
            "model.num_heads=128",
            "model.num_heads=128: expected an even model.d_model / model.num_heads, found "
            "1\nhelp: set model.num_heads=64, or model.d_model=256",
        ),
        ("model.d_model=127", "help: set model.d_model=120 or 128"),
        ("model.d_ff=wide", "model.d_ff=wide: expected auto, or a width"),
        ("model.d_ff=0", "model.d_ff=0"),
        ("model.d_ff=true", "model.d_ff=true"),
        ("model.dropout=1", "model.dropout=1.0: expected a probability of 0 or more and below 1"),
        ("model.dropout=-0.1", "model.dropout=-0.1: "),
        ("model.dropout=nan", "model.dropout=nan: "),
        ("model.attention.num_kv_heads=3", "a divisor of model.num_heads=4"),
        (
            "model.vocab_size=256",
            "model.vocab_size=256: expected 257 or more, for 256 bytes and the special tokens",
        ),
        ("tokenizer.vocab_size=500", "the same as model.vocab_size=1024"),
        ("training.steps=-1", "training.steps=-1: expected 0"),
        ("training.batch_size=0", "training.batch_size=0"),
        ("training.log_every=0", "training.log_every=0"),
        ("training.micro_batch_size=5", "a divisor of training.batch_size=32"),
        ("training.micro_batch_size=0", "training.micro_batch_size=0"),
        ("training.grad_clip_norm=0", "training.grad_clip_norm=0"),
        ("training.divergence_margin=0", "training.divergence_margin=0"),
        ("training.ema=1", "training.ema=1.0: expected a decay between 0 and 1, or null"),
        ("training.ema=nan", "training.ema=nan: "),
        ("training.patience=0", "training.patience=0: expected 1 or more evaluations, or null"),
        ("optim.lr=0", "optim.lr=0: expected a finite number above 0"),
        ("optim.lr=-1e-3", "optim.lr=-0.001"),
        ("optim.lr=nan", "optim.lr=nan"),
        ("optim.lr=inf", "optim.lr=inf"),
        ("optim.betas=[2,3]", "optim.betas=[2, 3]: expected two numbers in [0, 1)"),
        ("optim.betas=[0.9]", "optim.betas=[0.9]: "),
        ("optim.betas=[0.9,nan]", "optim.betas=[0.9, nan]: "),
        ("optim.weight_decay=-1", "optim.weight_decay=-1: expected a finite number of 0 or more"),
        ("optim.weight_decay=nan", "optim.weight_decay=nan"),
        ("optim.eps=-1", "optim.eps=-1: expected a finite number of 0 or more"),
        ("model.norm.eps=-1", "model.norm.eps=-1: expected a finite number of 0 or more"),
        ("model.norm.eps=nan", "model.norm.eps=nan"),
        (f"seed={2**63}", f"seed={2**63}: expected an integer from 0 to {2**63 - 1}"),
        ("seeds.sampling=-1", "seeds.sampling=-1: "),
        ("runtime.threads=100000", "runtime.threads=100000: expected auto, or 1 to 1024; more"),
        ("validation.every_steps=0", "validation.every_steps=0"),
        ("validation.batch_size=0", "validation.batch_size=0"),
        ("validation.max_tokens=0", "validation.max_tokens=0"),
        ("checkpoint.every_steps=0", "checkpoint.every_steps=0"),
        ("checkpoint.keep_last=0", "checkpoint.keep_last=0"),
        ("samples.count=-1", "samples.count=-1"),
        ("samples.max_new_tokens=0", "samples.max_new_tokens=0"),
        ("samples.temperature=-1", "samples.temperature=-1"),
        ("samples.top_k=0", "samples.top_k=0"),
        ("samples.top_p=1.5", "samples.top_p=1.5"),
        ("runtime.device=tpu", "runtime.device=tpu: expected one of auto, cpu, mps"),
        ("runtime.device=cuda:x", "runtime.device=cuda:x"),
        ("runtime.policy=fp16", "runtime.policy=fp16: expected one of auto, exact, fast, bf16"),
        ("runtime.compile=maybe", "runtime.compile=maybe"),
        ("runtime.cuda_graph=true", "runtime.cuda_graph=true: expected one of auto, false"),
        ("runtime.threads=0", "runtime.threads=0"),
        ("runtime.threads=some", "runtime.threads=some"),
        ("schedule.warmup_steps=601", "schedule.warmup_steps=601: expected 0 to training.steps"),
        ("schedule.min_lr_ratio=2", "schedule.min_lr_ratio=2"),
    ],
)
def test_each_rule_names_key_value_and_valid_values(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([override])
    assert message in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            "model.embedding=value model.embedding.num_tables=9",
            "model.embedding.num_tables=9: expected 1 to model.num_layers=4",
        ),
        ("model.head=softcap model.head.cap=0", "model.head.cap=0: expected a finite number above"),
        ("model.head=zloss model.head.coefficient=-1", "model.head.coefficient=-1: expected"),
        ("++model.block.layer=3", "model.block.layer=3: this parameter is computed automatically"),
        ("optim=muon optim.adamw_lr=-1", "optim.adamw_lr=-1: expected a finite number above 0"),
        ("optim=muon optim.momentum=2", "optim.momentum=2: expected a number in [0, 1)"),
        ("optim=muon optim.ns_steps=-1", "optim.ns_steps=-1: expected 0 to 99"),
        (
            "optim=muon optim.adjust_lr=none",
            "optim.adjust_lr=none: expected one of match_rms_adamw,",
        ),
        ("optim=sgd optim.nesterov=true optim.momentum=0", "optim.nesterov=true: expected fal"),
        (
            "model.init=normal model.init.std=-1",
            "model.init.std=-1: expected a finite number of 0 or more",
        ),
        ("model.init=normal model.init.std=nan", "model.init.std=nan"),
        ("experiment=ablate_norm design.tolerance.flops=-1", "design.tolerance.flops=-1"),
        (
            "experiment=ablate_norm design.tolerance.parameters=abc",
            "design.tolerance.parameters=abc: expected a fraction of 0 or more",
        ),
    ],
)
def test_rules_of_options_that_are_not_the_default(overrides: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(overrides.split())
    assert message in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    "override",
    [
        "model.d_ff=64", "model.attention.num_kv_heads=2", "training.micro_batch_size=8",
        "training.grad_clip_norm=null", "schedule.warmup_steps=600", "schedule.warmup_steps=0",
        "runtime.device=cuda:3", "runtime.threads=1", "runtime.compile=false", "samples.top_p=1.0",
        "optim.eps=0.0", "optim.weight_decay=0.0", "optim.betas=[0.0, 0.999]",
        f"seeds.init={2**63 - 1}", "runtime.threads=1024",
        "samples.temperature=0", "validation.max_tokens=1", "samples.prompts=[]",
    ],
)  # fmt: skip
def test_boundary_values_are_valid(override: str) -> None:
    key, _, value = override.partition("=")
    found = compose([override]).as_dict()
    for part in key.split("."):
        found = found[part]
    assert str(found).lower() in (
        value, "none", f"{value}.0",
    )  # fmt: skip
