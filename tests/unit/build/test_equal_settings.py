"""Every setting is known: it changes a run's identity, or no result, and has one meaning."""

from __future__ import annotations

import copy
import functools
from typing import Any

import pytest

from lmlab.build.equal_settings import canonical_settings, mean_the_same
from lmlab.config.compose import compose
from lmlab.config.identity_settings import identity_settings
from lmlab.config.run_config import RunConfig
from lmlab.design.run_keys import arm_settings
from lmlab.run_folder import flatten
from lmlab.storage.io import hash_json

# What a key belongs to.
RESULT = "changes the identity through the settings"
CONTENT = "changes the identity through the hash of the text or tokenizer that it makes"
DEVICE = "changes the identity through the resolved device"
NONE = "changes no result"

SCALING = "factor:8,low_freq_factor:1,high_freq_factor:4,original_context_length:64"

# Key -> (what it belongs to, another value, other spellings of the value that it has).
DEFAULT: dict[str, tuple[str, str | None, list[str]]] = {
    "study": (NONE, "other", []), "arm": (NONE, "other", []), "seed": (NONE, None, []),
    "seeds.init": (RESULT, "7", ["seeds.init=0", "seed=0"]),
    "seeds.data": (RESULT, "7", ["seeds.data=0"]),
    "seeds.sampling": (NONE, "7", []),
    "output_root": (NONE, "other", []), "parent": (NONE, "other", []),
    "data._target_": (CONTENT, None, []), "data.num_train_documents": (CONTENT, "9", []),
    "data.num_valid_documents": (CONTENT, "9", []), "data.seed": (CONTENT, "9", []),
    "tokenizer._target_": (CONTENT, None, []), "tokenizer.vocab_size": (CONTENT, None, []),
    "tokenizer.special_tokens": (CONTENT, "['<|a|>']", []),
    "tokenizer.end_of_text": (CONTENT, "'<|endoftext|>'", []),
    "model.vocab_size": (RESULT, "512", []), "model.context_length": (RESULT, "64", []),
    "model.d_model": (RESULT, "64", []), "model.num_layers": (RESULT, "2", []),
    "model.num_heads": (RESULT, "2", []),
    "model.d_ff": (RESULT, "512", ["model.d_ff=320"]),
    "model.tie_embeddings": (RESULT, "true", []),
    "model.norm._target_": (RESULT, None, []),
    "model.norm.eps": (RESULT, "0.1", ["model.norm.eps=0.00001"]),
    "model.pos._target_": (RESULT, None, []),
    "model.pos.theta": (RESULT, "500", ["model.pos.theta=10000", "model.pos.theta=1e4"]),
    "model.pos.scaling": (RESULT, "{" + SCALING + "}", []),
    "model.ffn._target_": (RESULT, None, []), "model.attention._target_": (RESULT, None, []),
    "model.attention.num_kv_heads": (RESULT, "2", ["model.attention.num_kv_heads=4"]),
    "model.attention.window": (RESULT, "8", []),
    "model.attention.window_pattern": (RESULT, None, []),  # needs a window
    "model.attention.qk_norm": (RESULT, "true", []),
    "model.attention.qk_norm_eps": (RESULT, "1e-6", ["model.attention.qk_norm_eps=0.00001"]),
    "model.init._target_": (RESULT, None, []),
    "model.param._target_": (RESULT, None, []), "model.embedding._target_": (RESULT, None, []),
    "model.block._target_": (RESULT, None, []), "model.residual._target_": (RESULT, None, []),
    "model.head._target_": (RESULT, None, []),
    "model.dropout": (RESULT, "0.1", ["model.dropout=0", "model.dropout=-0.0"]),
    "optim._target_": (RESULT, None, []), "optim.lr": (RESULT, "1", ["optim.lr=3e-3"]),
    "optim.betas": (RESULT, "[0, 0.9]", ["optim.betas=[0.90, 9.5e-1]"]),
    "optim.eps": (RESULT, "0", ["optim.eps=0.00000001"]),
    "optim.weight_decay": (RESULT, "0", ["optim.weight_decay=1e-1"]),
    "schedule._target_": (RESULT, None, []),
    "schedule.warmup_steps": (
        RESULT, "60", ["schedule.warmup=0.0833", "schedule.warmup_tokens=204799.5"]
    ),
    "schedule.warmup": (RESULT, "0.5", []), "schedule.warmup_tokens": (RESULT, "1e5", []),
    "schedule.min_lr_ratio": (RESULT, "0", ["schedule.min_lr_ratio=1e-1"]),
    "training.steps": (RESULT, "500", ["training.tokens=2457700"]),
    "training.tokens": (RESULT, "1e5", []), "training.flops": (RESULT, "1e12", []),
    "training.minutes": (RESULT, "5", []),
    "training.batch_size": (RESULT, "16", []),
    "training.micro_batch_size": (RESULT, "16", ["training.micro_batch_size=32"]),
    "training.grad_clip_norm": (RESULT, "2", ["training.grad_clip_norm=1"]),
    "training.log_every": (NONE, "7", []),
    "training.divergence_margin": (RESULT, "4", ["training.divergence_margin=3"]),
    "training.patience": (RESULT, "3", []), "training.ema": (RESULT, "0.9", []),
    "training.diagnose_every": (NONE, "7", []),
    "validation.every_steps": (RESULT, "50", []), "validation.batch_size": (NONE, "16", []),
    "validation.max_tokens": (RESULT, "5000", []),
    "validation.tasks": (CONTENT, "[items.jsonl]", []), "validation.probes": (NONE, "7", []),
    "checkpoint.every_steps": (NONE, "50", []), "checkpoint.keep_last": (NONE, "3", []),
    "checkpoint.keep_steps": (NONE, "[5]", []),
    "samples.prompts": (NONE, "[a]", []), "samples.count": (NONE, "2", []),
    "samples.max_new_tokens": (NONE, "5", []), "samples.temperature": (NONE, "1", []),
    "samples.top_k": (NONE, "5", []), "samples.top_p": (NONE, "0.5", []),
    "runtime.device": (DEVICE, "cpu", []), "runtime.policy": (DEVICE, "exact", []),
    "runtime.compile": (DEVICE, "false", []), "runtime.threads": (DEVICE, "2", []),
    "runtime.cuda_graph": (DEVICE, "false", []), "runtime.preflight": (NONE, "off", []),
    "runtime.beside": (NONE, "2", []), "runtime.parallel": (NONE, "none", []),
    "logger._target_": (NONE, None, []), "reuse": (NONE, "false", []),
    "reuse_across_code": (NONE, "true", []),
    "scale.name": (NONE, "other", []), "scale.num_seeds": (NONE, "9", []),
    "scale.num_tuning_seeds": (NONE, "9", []), "scale.extra_seeds": (NONE, "9", []),
    "scale.margin": (NONE, "1", []), "scale.expected_sd": (NONE, "1", []),
    "scale.ladder_sizes": (NONE, "9", []), "scale.ladder_span": (NONE, "9", []),
    "scale.ladder_flops": (NONE, "9", []), "scale.ladder_d_head": (NONE, "9", []),
    "design": (NONE, None, []), "ladder": (NONE, None, []),
    "demo": (NONE, None, []), "notes": (NONE, "text", []),
    "tags": (NONE, "[a]", []), "purpose": (NONE, "text", []), "callbacks": (NONE, None, []),
}  # fmt: skip
# The same of options that have further keys.
OPTIONS: dict[str, dict[str, tuple[str, str | None, list[str]]]] = {
    "optim=muon": {
        "optim.lr": (RESULT, "1", []), "optim.momentum": (RESULT, "0.5", ["optim.momentum=9.5e-1"]),
        "optim.nesterov": (RESULT, "false", []), "optim.ns_steps": (RESULT, "3", []),
        "optim.adjust_lr": (RESULT, "original", []),
        "optim.adamw_lr": (RESULT, "1", ["optim.adamw_lr=0.0030"]),
        "optim.betas": (RESULT, "[0, 0.9]", []), "optim.eps": (RESULT, "0", []),
        "optim.weight_decay": (RESULT, "0", []),
    },
    "optim=sgd": {
        "optim.lr": (RESULT, "1", ["optim.lr=1e-1"]), "optim.momentum": (RESULT, "0", []),
        "optim.nesterov": (RESULT, "true", []),
        "optim.weight_decay": (RESULT, "1", ["optim.weight_decay=0", "optim.weight_decay=-0.0"]),
    },
    "schedule=constant": {"schedule.warmup_steps": (RESULT, "60", ["schedule.warmup=0.0833"])},
    "schedule=linear": {
        "schedule.warmup_steps": (RESULT, "60", []),
        "schedule.min_lr_ratio": (RESULT, "1", ["schedule.min_lr_ratio=0"]),
    },
    "schedule=wsd": {
        "schedule.warmup_steps": (RESULT, "60", []),
        "schedule.decay_fraction": (RESULT, "0.5", ["schedule.decay_fraction=2e-1"]),
        "schedule.min_lr_ratio": (RESULT, "1", ["schedule.min_lr_ratio=0"]),
        "schedule.decay_shape": (RESULT, "sqrt", []),
    },
    "schedule=cosine_to_zero": {
        "schedule.warmup_steps": (RESULT, "60", []),
        "schedule.min_lr_ratio": (RESULT, "1", ["schedule.min_lr_ratio=0"]),
    },
    "schedule=inverse_sqrt": {
        "schedule.warmup_steps": (RESULT, "60", ["schedule.warmup_tokens=2.048e5"]),
        "schedule.decay_fraction": (RESULT, "0.5", ["schedule.decay_fraction=0"]),
        "schedule.decay_shape": (RESULT, None, []),  # needs a decay
    },
    "model.embedding=value": {
        "model.embedding.num_tables": (RESULT, "1", []),
        "model.embedding.scale": (RESULT, "1", ["model.embedding.scale=5e-1"]),
    },
    "model.head=softcap": {"model.head.cap": (RESULT, "15", ["model.head.cap=30"])},
    "model.head=zloss": {
        "model.head.coefficient": (RESULT, "1", ["model.head.coefficient=0.0001"]),
    },
    "model.param=mup": {
        "model.param.base_d_model": (RESULT, "64", []),
        "model.param.base_d_head": (RESULT, "64", []),
        "model.param.base_d_ff": (RESULT, None, []),  # needs a number in model.d_ff
        "model.param.update_rule": (RESULT, "adamw", []),
    },
    "model.param=completep": {
        "model.param.base_d_model": (RESULT, "64", []),
        "model.param.base_d_head": (RESULT, "64", []),
        "model.param.base_d_ff": (RESULT, None, []),
        "model.param.update_rule": (RESULT, "adamw", []),
        "model.param.base_num_layers": (RESULT, "2", []),
        "model.param.alpha": (RESULT, "0.5", ["model.param.alpha=1"]),
    },
    "model.norm=dyt": {"model.norm.alpha": (RESULT, "1", ["model.norm.alpha=5e-1"])},
    "model.pos=partial_rope": {
        "model.pos.theta": (RESULT, "500", []),
        "model.pos.fraction": (RESULT, "0.25", ["model.pos.fraction=5e-1"]),
        "model.pos.scaling": (RESULT, "{" + SCALING + "}", []),
    },
    "model.init=normal": {"model.init.std": (RESULT, "1", ["model.init.std=2e-2"])},
    "model.ffn=gelu": {"model.d_ff": (RESULT, "320", ["model.d_ff=512"])},
    "model.ffn=relu2": {"model.d_ff": (RESULT, "320", ["model.d_ff=512"])},
    "model.ffn=silu": {"model.d_ff": (RESULT, "320", ["model.d_ff=512"])},
}  # fmt: skip

UNKNOWN = (
    "{keys}: not in the table of this file. State whether the setting changes the result (then it "
    "belongs to the identity, config/identity_settings.py), and which of its spellings mean the "
    "same (build/equal_settings.py)"
)


@functools.cache
def composed(*overrides: str) -> RunConfig:
    return compose([*overrides, "logger=none"])


def typed(config: RunConfig) -> str:
    return hash_json(identity_settings(config))


def canonical(config: RunConfig) -> str:
    return hash_json(canonical_settings(identity_settings(config)))


def content(config: RunConfig) -> str:
    """What the identity holds a content hash of, or the resolved device."""
    whole = config.as_dict()
    return hash_json([whole["data"], whole["tokenizer"], whole["validation"]["tasks"]])


def device(config: RunConfig) -> str:
    names = ("device", "policy", "compile", "threads", "cuda_graph")
    return hash_json({name: config.as_dict()["runtime"][name] for name in names})


ALL = [((), DEFAULT), *(((option,), table) for option, table in OPTIONS.items())]


@pytest.mark.parametrize(("options", "table"), ALL, ids=[" ".join(each[0]) for each in ALL])
def test_every_key_is_known(options: tuple[str, ...], table: dict[str, Any]) -> None:
    keys = {key for key, _ in flatten(composed(*options).as_dict())}
    unknown = keys - DEFAULT.keys() - table.keys()
    assert not unknown, UNKNOWN.format(keys=", ".join(sorted(unknown)))


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "key", "entry"),
    [
        pytest.param(options, key, entry, id=" ".join([*options, key]))
        for options, table in ALL
        for key, entry in table.items()
        if entry[1] is not None or entry[2]
    ],
)
def test_a_key_changes_what_it_belongs_to(
    options: tuple[str, ...], key: str, entry: tuple[str, str | None, list[str]]
) -> None:
    part, other, equal = entry
    base = composed(*options)
    if other is not None:
        changed = composed(*options, f"{key}={other}")
        assert changed != base, f"{key}={other} is the value that it has"
        found = [
            name
            for name, of in ((RESULT, canonical), (CONTENT, content), (DEVICE, device))
            if of(changed) != of(base)
        ]
        if key == "model.vocab_size":
            found.remove(CONTENT)  # that of the tokenizer follows
        assert found == ([] if part == NONE else [part])
    for spelling in equal:
        assert canonical(composed(*options, spelling)) == canonical(base), spelling
        same = arm_settings(composed(*options, spelling).as_dict())
        assert hash_json(sorted(same)) == hash_json(sorted(arm_settings(base.as_dict())))
        assert same == arm_settings(base.as_dict())


def test_spellings_of_an_integer_for_a_float_differ_as_typed() -> None:
    for whole, number in (("optim.weight_decay=0", "0.0"), ("optim.betas=[0,0.9]", "[0.0,0.9]")):
        left, right = composed(whole), composed(f"{whole.partition('=')[0]}={number}")
        assert typed(left) != typed(right), "identities of earlier runs stay as they are"
        assert canonical(left) == canonical(right)


def test_integers_in_a_mapping_of_floats_are_floats() -> None:
    left, right = (
        composed(f"model.pos.scaling={{{text}}}")
        for text in (SCALING, SCALING.replace("8", "8.0").replace("64", "64.0"))
    )
    assert typed(left) != typed(right) and canonical(left) == canonical(right)


def test_settings_of_any_content_are_compared() -> None:
    settings = identity_settings(composed())
    for path in ("optim._target_", "model.ffn._target_", "training", "model.d_ff", "schedule"):
        for value in (None, 7, [], {}, "os.getcwd", {"_target_": "no.such_module"}):
            other = copy.deepcopy(settings)
            *parents, last = path.split(".")
            node = functools.reduce(dict.__getitem__, parents, other)
            node[last] = value
            assert not mean_the_same(settings, other)
    assert mean_the_same(settings, copy.deepcopy(settings))
