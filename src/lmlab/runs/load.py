"""A trained model and its tokenizer from their folder, in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from lmlab.build import factory
from lmlab.config.compose import compose, from_dict, load_frozen
from lmlab.config.run_config import RunConfig
from lmlab.errors import ConfigError, DataError
from lmlab.hf.config_reader import config_from_hf, read_config
from lmlab.hf.weights import Imported
from lmlab.nn.transformer import Transformer
from lmlab.run_folder import RunFolder
from lmlab.runtime.device import resolve_torch_device
from lmlab.tokenizer import Tokenizer
from lmlab.tokenizer.convert import read as read_tokenizer
from lmlab.training.checkpoint import find_weights, read_weights
from lmlab.training.state import load_weights


class Loaded(NamedTuple):
    """What :func:`load` returns: ``model, tokenizer = lmlab.load(folder)``."""

    model: Transformer
    tokenizer: Tokenizer


def load(folder: str | Path, *, checkpoint: str = "best", device: str = "auto") -> Loaded:
    """Load a trained model, ready to be called, and its tokenizer.

    Args:
        folder: a run folder, or a folder in Hugging Face's form whose model is shaped like one of
            lmlab's: Llama, Qwen3, a GPT-2 without biases, or what ``lmlab.export`` wrote.
        checkpoint: of a run, ``best`` (lowest validation loss) or ``last``.
        device: ``auto``, ``cpu``, ``mps``, ``cuda``, ``cuda:1`` ...

    Returns:
        The model in eval mode, its weights in float32, and the tokenizer.

    Raises:
        DataError: there is no model in the folder, or it is damaged.
        ConfigError: a setting is wrong, or lmlab cannot compute what the model does.
    """
    if checkpoint not in ("best", "last"):
        raise ConfigError(f"checkpoint={checkpoint}: accepted is best or last")
    place = resolve_torch_device(device, key="device")
    path = Path(folder)
    model, tokenizer = _load_run(path, checkpoint) if is_run(path) else _load_hf(path)
    return Loaded(model.to(place).eval(), tokenizer)


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's. Raises :class:`DataError` where it holds no model at all."""
    if RunFolder(folder).config.is_file():
        return True
    if (folder / "config.json").is_file():
        return False
    raise DataError(f"{folder} holds no model: neither a run (config.yaml) nor a config.json")


def _load_run(folder: Path, checkpoint: str) -> tuple[Transformer, Tokenizer]:
    run = RunFolder(folder)
    weights = find_weights(run.checkpoints, checkpoint)
    tokenizer = Tokenizer.load(run.tokenizer)
    model = factory.build_network(load_frozen(run.config).model)
    load_weights(model, read_weights(weights), weights)
    return model, tokenizer


def _load_hf(folder: Path) -> tuple[Transformer, Tokenizer]:
    tokenizer = read_tokenizer(folder)
    network = factory.build_network(_config_of(config_from_hf(read_config(folder))).model)
    Imported(path=str(folder))(network, seed=0)
    return network, tokenizer


def _config_of(model: dict[str, Any]) -> RunConfig:
    """A whole configuration around a ``model`` node, so that it is checked like any other."""
    content = compose(["tokenizer=bytes"]).as_dict()
    return from_dict(content | {"model": model | {"init": content["model"]["init"]}})
