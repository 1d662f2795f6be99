"""Settings that were removed or renamed, and configurations that still use them."""

from __future__ import annotations

import re
from typing import Any

from lmlab.config.renamed_targets import original_targets, resolve_targets, warn_renamed
from lmlab.config.run_config import (
    LINEAR_HEAD,
    PLAIN_RESIDUAL,
    STANDARD_BLOCK,
    STANDARD_PARAM,
    TOKEN_EMBEDDING,
)

# Removed setting -> what to use instead.
REMOVED_KEYS = {
    "runtime.precision": "runtime.policy (exact, fast or bf16; auto chooses)",
    "runtime.tf32": "runtime.policy=fast, which uses TF32 where its measured error is in bounds",
    "runtime.deterministic": "runtime.policy=exact, which is bitwise repeatable",
}
# Original name -> current name, of top-level keys and of the config groups that fill them.
RENAMED_KEYS = {"exhibit": "demo"}
# Settings that earlier versions did not have: section, key, and the default, which means that the
# setting is not used.
ADDED_SETTINGS = [
    ("schedule", "warmup", None), ("tokenizer", "end_of_text", None), ("model", "dropout", 0.0),
    ("training", "patience", None), ("training", "diagnose_every", None),
    ("training", "ema", None), ("training", "tokens", None), ("training", "flops", None),
    ("model", "param", STANDARD_PARAM.as_dict()),
    ("model", "embedding", TOKEN_EMBEDDING.as_dict()), ("model", "block", STANDARD_BLOCK.as_dict()),
    ("model", "residual", PLAIN_RESIDUAL.as_dict()), ("model", "head", LINEAR_HEAD.as_dict()),
    ("training", "minutes", None), ("validation", "tasks", None),
    *(("validation", "probes", number) for number in (48, 32, 8)),  # with the values of scales
    ("validation", "probes", 0),
    ("schedule", "warmup_tokens", None), ("schedule", "decay_shape", "linear"),
    ("data", "windows", "cross"),
]  # fmt: skip
# The same for parameters of components: target, and the defaults of its new parameters.
ADDED_PARAMETERS: dict[str, dict[str, Any]] = {
    "lmlab.data.sources.TextFiles": {
        "valid_fraction": 0.01,
        "column": "text",
        "documents": "marker",
        "tokens": None,
        "near_duplicates": None,
    },
    "lmlab.data.sources.ToyStories": {"tokens": None},
    "lmlab.data.token_sources.TokenFiles": {"tokens": None},
    "lmlab.nn.pos.RoPE": {"scaling": None},
    "lmlab.nn.attention.CausalSelfAttention": {
        "qk_norm_eps": 1e-5,
        "window": None,
        "window_pattern": ["local"],
    },
    "lmlab.data.sources.Downloaded": {
        "train_sha256": None,
        "valid_sha256": None,
        "tokens": None,
    },
}
# Settings that files list now; earlier versions asked for a + before them, which commands keep.
_LISTED_NOW = ("model.attention.qk_norm_eps", "data.train_sha256", "data.valid_sha256")
_POLICY_OF = {"fp32": "exact", "bf16": "bf16"}
# An override ("++exhibit.count=2", "exhibit/group=option"), or an entry of a defaults list.
_FIRST_NAME = re.compile(r"((?:override )?/?[+~]*)(\w+)(?=[./@=]|$)")


def rename_key(key: str) -> str:
    """Replace an old first name in a dotted or slash-separated key; warn where there is one.

    The key may be a whole override, or an entry of a defaults list with its ``override``.
    """
    found = _FIRST_NAME.match(key)
    if found is None or found[2] not in RENAMED_KEYS:
        return key
    current = RENAMED_KEYS[found[2]]
    warn_renamed(found[2], current)
    return f"{found[1]}{current}{key[found.end() :]}"


def without_needless_plus(override: str) -> str:
    """Remove the + of ``+key=value`` where files list the key since a later version."""
    key = override.removeprefix("+").partition("=")[0]
    return override.removeprefix("+") if key in _LISTED_NOW else override


def upgrade(content: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration that an earlier version froze, in current terms."""
    current = {rename_key(key): value for key, value in content.items()}
    runtime = current.get("runtime")
    if isinstance(runtime, dict) and "precision" in runtime:
        kept = {key: v for key, v in runtime.items() if f"runtime.{key}" not in REMOVED_KEYS}
        current["runtime"] = kept | {"policy": _POLICY_OF.get(runtime["precision"], "auto")}
    return resolve_targets(current)


def original_names(content: dict[str, Any]) -> dict[str, Any]:
    """Return a frozen configuration under the original names of its keys and targets.

    Settings of :data:`ADDED_SETTINGS` and :data:`ADDED_PARAMETERS` are left out while they have
    their defaults. Whatever is hashed or compared with files of earlier versions uses the result.
    """
    content = _with_read_settings(content, without_added_parameters(content))
    content = {
        section: {k: v for k, v in node.items() if (section, k, v) not in ADDED_SETTINGS}
        if isinstance(node, dict)
        else node
        for section, node in content.items()
    }
    originals = {current: original for original, current in RENAMED_KEYS.items()}
    return original_targets({originals.get(key, key): value for key, value in content.items()})


def _with_read_settings(content: dict[str, Any], original: dict[str, Any]) -> dict[str, Any]:
    """Keep ``qk_norm_eps`` of a model that was read from a folder, which always listed it."""
    model = content.get("model") or {}
    init, attention = model.get("init") or {}, model.get("attention") or {}
    if init.get("_target_") != "lmlab.hf.weights.Imported" or "qk_norm_eps" not in attention:
        return original
    kept = original["model"]["attention"] | {"qk_norm_eps": attention["qk_norm_eps"]}
    return original | {"model": original["model"] | {"attention": kept}}


def without_added_parameters(value: Any) -> Any:
    """Return nested plain values without :data:`ADDED_PARAMETERS` that have their defaults."""
    if not isinstance(value, dict):
        return value
    added = ADDED_PARAMETERS.get(str(value.get("_target_")), {})
    return {
        key: without_added_parameters(inner)
        for key, inner in value.items()
        if key not in added or inner != added[key]
    }
