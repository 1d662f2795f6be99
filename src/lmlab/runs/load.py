"""Load a trained model and its tokenizer from a folder."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, NamedTuple

from lmlab.build.network import build_network
from lmlab.config.compose import compose, from_dict
from lmlab.config.run_config import RunConfig
from lmlab.errors import ConfigError, DataError
from lmlab.hf.config_reader import config_from_hf, read_config
from lmlab.hf.weight_files import weight_files
from lmlab.hf.weights import Imported
from lmlab.nn.document_layout import Documents
from lmlab.nn.transformer import Transformer
from lmlab.run_folder import RunFolder
from lmlab.runs.recorded_config import load_recorded
from lmlab.runs.weight_sizes import check_sizes
from lmlab.runtime.device import resolve_torch_device
from lmlab.tokenizer import Tokenizer
from lmlab.tokenizer.convert import read as read_tokenizer
from lmlab.tokenizer.ids_only import load_tokenizer
from lmlab.training.checkpoint_files import find_weights, list_steps, read_weights
from lmlab.training.state import load_weights


class Loaded(NamedTuple):
    """What :func:`load` returns: ``model, tokenizer = lmlab.load(folder)``."""

    model: Transformer
    tokenizer: Tokenizer


def load(folder: str | Path, *, checkpoint: str = "best", device: str = "auto") -> Loaded:
    """Load a trained model and its tokenizer.

    Args:
        folder: a run folder, or a Hugging Face model folder of an architecture that lmlab
            supports: Llama, Qwen3, Mixtral, Qwen3-MoE, GPT-2 without biases, or an export of
            ``lmlab.export``.
        checkpoint: of a run: ``best`` (lowest validation loss) or ``last``.
        device: ``auto``, ``cpu``, ``mps``, ``cuda``, ``cuda:1`` ...

    Returns:
        The model in eval mode with float32 weights, and the tokenizer.

    Raises:
        DataError: the folder holds no model, or a damaged one.
        ConfigError: an argument is not valid, or lmlab does not support the architecture.
    """
    if checkpoint not in ("best", "last"):
        raise ConfigError(f"checkpoint={checkpoint}: expected best or last")
    torch_device = resolve_torch_device(device, key="device")
    path = Path(folder)
    model, tokenizer = _load_run(path, checkpoint) if is_run(path) else _load_hf(path)
    return Loaded(model.to(torch_device).eval(), tokenizer)


def is_run(folder: Path) -> bool:
    """Whether ``folder`` is a run folder. Raises :class:`DataError` where it holds no model."""
    if RunFolder(folder).config.is_file():
        return True
    if (folder / "config.json").is_file():
        return False
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    raise DataError(
        f"{folder}: not a run folder (no config.yaml) or Hugging Face model directory (no "
        "config.json)"
    )


def _load_run(folder: Path, checkpoint: str) -> tuple[Transformer, Tokenizer]:
    run = RunFolder(folder)
    weights = find_run_weights(run, checkpoint)
    config, tokenizer = load_recorded(run), _load_tokenizer(run)
    check_sizes(config.model, [weights / "model.safetensors"], run.config)
    model = build_network(config.model, config.seeds.init)
    load_weights(model, read_weights(weights), weights)
    model.documents = _documents(run)
    return model, tokenizer


def _documents(run: RunFolder) -> Documents | None:
    """Return the documents that the attention of a run does not cross; None if it does."""
    identity = run.meta().get("identity")
    recorded = identity.get("documents") if isinstance(identity, dict) else None
    if recorded is None:
        return None
    try:
        return Documents(int(recorded["end_id"]), bool(recorded["is_before"]))
    except (LookupError, TypeError, ValueError) as error:
        raise DataError(
            f"{run.path}: cannot read which documents the run separates (documents in meta.json)",
            "restore the folder of the run from a copy",
        ) from error


def _load_tokenizer(run: RunFolder) -> Tokenizer:
    tokenizer, identity = load_tokenizer(run.tokenizer), run.meta().get("identity")
    recorded = identity.get("tokenizer") if isinstance(identity, dict) else None
    if recorded not in (None, tokenizer.hash):
        raise DataError(
            f"{run.tokenizer}: not the tokenizer that the run was trained with (by meta.json)",
            "restore the folder of the run from a copy",
        )
    return tokenizer


def find_run_weights(run: RunFolder, checkpoint: str) -> Path:
    """Return the folder of the ``best`` or ``last`` weights of a run.

    Raises:
        DataError: the run has none; the message says why.
    """
    kinds = {"best": "best", "last": "step"}
    found = [name for name, kind in kinds.items() if list_steps(run.checkpoints, kind)]
    if checkpoint in found:
        return find_weights(run.checkpoints, checkpoint)
    if found:
        raise DataError(f"{run.path}: no {checkpoint} checkpoint", f"set checkpoint={found[0]}")
    raise _no_weights(run)


def _no_weights(run: RunFolder) -> DataError:
    status = run.status()
    state = status.get("status")
    if state == "diverged":
        return DataError(
            f"{run.path}: the run diverged at step {status.get('step')} and kept no weights",
            "train first with settings that do not diverge, such as a lower optim.lr",
        )
    if state == "done":
        return DataError(f"{run.path}: the checkpoints of the run were removed", "train it again")
    return DataError(
        f"{run.path}: no checkpoint yet (status: {state or 'unknown'})",
        "train first: rerun the command that started the run",
    )


def _load_hf(folder: Path) -> tuple[Transformer, Tokenizer]:
    tokenizer = read_tokenizer(folder)
    config = folder / "config.json"
    try:
        model = _config_of(config_from_hf(read_config(folder))).model
    except ConfigError as error:
        raise DataError(f"{config}: {error.message}", error.help) from error
    check_sizes(model, weight_files(folder), config)
    network = build_network(model, init_seed=0)
    Imported(path=str(folder))(network, seed=0)
    return network, tokenizer


@functools.cache
def _defaults() -> dict[str, Any]:
    """Return a full configuration; do not change it."""
    return compose(["tokenizer=bytes"]).as_dict()


def _config_of(model: dict[str, Any]) -> RunConfig:
    """Compose a full configuration around a ``model`` node, so that it is validated as usual."""
    content = _defaults()
    rest = {key: content["model"][key] for key in ("init", "dropout", "param")}
    return from_dict(content | {"model": rest | model})
