"""The setup of a study: the model, the training and the text of the baseline, one line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmlab.study.arm_section import described_width
from lmlab.study.run_records import Study


def build_setup(study: Study) -> list[list[str]]:
    """Return name and description of each part of the setup; empty without a comparison."""
    manifest = study.manifest
    if manifest is None or manifest.comparison is None:
        return []
    name = manifest.comparison.baseline or manifest.names[0]
    arm, meta = manifest.arms[manifest.names.index(name)], {}
    for record in study.records:
        if record.job.arm == name and record.meta:
            meta = record.meta
            break
    rows = [["arm", name], ["model", _model(_sized(arm["model"], study, name))]]
    rows += [[key, _component(arm[key])] for key in ("optim", "schedule") if arm.get(key)]
    rows.append(["steps x batch", _steps(arm)])
    rows.append(["text", _text(arm.get("data"), meta)])
    labels = {"optim": "optimizer"}
    return [[labels.get(key, key), value] for key, value in rows if value]


def _sized(model: Mapping[str, Any], study: Study, arm: str) -> dict[str, Any]:
    """Return the settings of a model, with the feed-forward width that ``auto`` results in."""
    return {**model, "d_ff": described_width(study, arm, model.get("d_ff"))}


def _model(model: Mapping[str, Any]) -> str:
    words = {
        "num_layers": "layers", "d_model": "width", "num_heads": "heads", "d_ff": "d_ff",
        "context_length": "context", "vocab_size": "vocabulary",
    }  # fmt: skip
    sizes = [f"{word} {model[key]}" for key, word in words.items() if model.get(key) is not None]
    parts = [f"{key} {_class(value)}" for key, value in model.items() if _is_component(value)]
    tied = {True: ["tied embeddings"], False: ["untied embeddings"]}
    return ", ".join([*sizes, *parts, *tied.get(model.get("tie_embeddings"), [])])  # type: ignore[arg-type]


def _component(settings: Mapping[str, Any]) -> str:
    values = [f"{key} {value}" for key, value in settings.items() if key not in ("_target_", "lr")]
    return ", ".join([_class(settings), *values])


def _steps(arm: Mapping[str, Any]) -> str:
    training = arm["training"]
    text = f"{training['steps']:,} steps" if training.get("steps") else "steps by the tokens"
    context = arm["model"].get("context_length")
    return f"{text} x {training['batch_size']} sequences of {context} tokens"


def _text(data: Any, meta: Mapping[str, Any]) -> str:
    names = [str(data[key]) for key in ("train", "valid") if data and data.get(key)]
    source = " and ".join(names) or str(meta.get("corpus") or (_class(data) if data else ""))
    sizes = [
        f"{meta[key]:,} {word} tokens"
        for key, word in (("train_tokens", "training"), ("valid_tokens", "validation"))
        if meta.get(key)
    ]
    return ", ".join([source, *sizes]) if source else ", ".join(sizes)


def _is_component(value: Any) -> bool:
    return isinstance(value, Mapping) and "_target_" in value


def _class(settings: Mapping[str, Any]) -> str:
    return str(settings.get("_target_", "")).rpartition(".")[2]
