"""A model's weights under Hugging Face's names, and back; safetensors files, one or several."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from lmlab.errors import DataError
from lmlab.hf.config_reader import read_config
from lmlab.hf.weight_files import WEIGHTS, hash_weights, weight_files

_LLAMA = {
    "embedding.weight": "model.embed_tokens.weight",
    "final_norm.weight": "model.norm.weight",
    "head.weight": "lm_head.weight",
}
_LLAMA_LAYER = {
    "attention.norm.weight": "input_layernorm.weight",
    "attention.sublayer.q.weight": "self_attn.q_proj.weight",
    "attention.sublayer.k.weight": "self_attn.k_proj.weight",
    "attention.sublayer.v.weight": "self_attn.v_proj.weight",
    "attention.sublayer.out.weight": "self_attn.o_proj.weight",
    "attention.sublayer.q_norm.weight": "self_attn.q_norm.weight",
    "attention.sublayer.k_norm.weight": "self_attn.k_norm.weight",
    "ffn.norm.weight": "post_attention_layernorm.weight",
    "ffn.sublayer.gate.weight": "mlp.gate_proj.weight",
    "ffn.sublayer.up.weight": "mlp.up_proj.weight",
    "ffn.sublayer.down.weight": "mlp.down_proj.weight",
}
_GPT2 = {
    "embedding.weight": "transformer.wte.weight",
    "pos.weight": "transformer.wpe.weight",
    "final_norm.weight": "transformer.ln_f.weight",
    "head.weight": "lm_head.weight",
}
_GPT2_LAYER = {"attention.norm.weight": "ln_1.weight", "ffn.norm.weight": "ln_2.weight"}
# GPT-2 keeps its matrices with the input first, and queries, keys and values side by side.
_GPT2_MATRICES = {
    "attn.c_attn": ("attention.sublayer.q", "attention.sublayer.k", "attention.sublayer.v"),
    "attn.c_proj": ("attention.sublayer.out",),
    "mlp.c_fc": ("ffn.sublayer.up",),
    "mlp.c_proj": ("ffn.sublayer.down",),
}
_BUFFERS = (".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias")


def weights_to_hf(kind: str, ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state dictionary for the ``model_type`` of the same model's ``config.json``."""
    if kind == "lmlab":
        return dict(ours)
    if kind == "gpt2":
        return _to_gpt2(ours)
    return {_renamed(name, _LLAMA, _LLAMA_LAYER, "model.layers"): t for name, t in ours.items()}


def weights_from_hf(kind: str, theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Undo :func:`weights_to_hf`.

    Raises:
        DataError: there are biases other than zero, which no model here has, or unknown names.
    """
    theirs = {name: tensor for name, tensor in theirs.items() if not name.endswith(_BUFFERS)}
    if kind == "lmlab":
        return theirs
    if kind == "gpt2":
        return _from_gpt2(theirs)
    whole = {value: key for key, value in _LLAMA.items()}
    layer = {value: key for key, value in _LLAMA_LAYER.items()}
    return {_back(name, whole, layer, "model.layers."): t for name, t in theirs.items()}


def _renamed(name: str, whole: dict[str, str], layer: dict[str, str], layers: str) -> str:
    if name in whole:
        return whole[name]
    _, index, part = name.split(".", 2)
    return f"{layers}.{index}.{layer[part]}"


def _back(name: str, whole: dict[str, str], layer: dict[str, str], layers: str) -> str:
    if name in whole:
        return whole[name]
    index, _, part = name.removeprefix(layers).partition(".")
    if not name.startswith(layers) or part not in layer:
        raise DataError(f"the weights hold {name}, which no model of lmlab's has")
    return f"blocks.{index}.{layer[part]}"


def _to_gpt2(ours: dict[str, Tensor]) -> dict[str, Tensor]:
    made: dict[str, Tensor] = {}
    for name, tensor in ours.items():
        if tensor.ndim == 1 or name in _GPT2:
            theirs = _renamed(name, _GPT2, _GPT2_LAYER, "transformer.h")
            made[theirs] = tensor
            if tensor.ndim == 1:
                made[theirs.removesuffix("weight") + "bias"] = torch.zeros_like(tensor)
    for prefix in _layers(ours):
        for theirs, names in _GPT2_MATRICES.items():
            matrix = torch.cat([ours[f"{prefix}.{name}.weight"] for name in names])
            here = f"transformer.h.{prefix.removeprefix('blocks.')}.{theirs}"
            made[f"{here}.weight"] = matrix.T.contiguous()
            made[f"{here}.bias"] = matrix.new_zeros(len(matrix))
    return made


def _layers(ours: dict[str, Tensor]) -> Iterator[str]:
    last = ".attention.sublayer.q.weight"
    return (name.removesuffix(last) for name in ours if name.endswith(last))


def _from_gpt2(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    made: dict[str, Tensor] = {}
    whole = {value: key for key, value in _GPT2.items()}
    layer = {value: key for key, value in _GPT2_LAYER.items()}
    for name, tensor in theirs.items():
        full = name if name.startswith(("transformer.", "lm_head.")) else f"transformer.{name}"
        if full.endswith(".bias"):
            if bool(tensor.any()):
                raise DataError(f"the weights hold a bias, {name}; models of lmlab's have none")
            continue
        part = full.removeprefix("transformer.h.").partition(".")[2].removesuffix(".weight")
        if part not in _GPT2_MATRICES:
            made[_back(full, whole, layer, "transformer.h.")] = tensor
            continue
        index = full.split(".")[2]
        names = _GPT2_MATRICES[part]
        for own, matrix in zip(names, tensor.T.chunk(len(names)), strict=True):
            made[f"blocks.{index}.{own}.weight"] = matrix.contiguous()
    return made


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The weights of a Hugging Face folder under lmlab's names, in float32.

    Raises:
        DataError: a file is missing or damaged, or the weights are of no model of lmlab's.
    """
    kind = str(read_config(folder).get("model_type"))
    tensors: dict[str, Tensor] = {}
    for path in weight_files(folder):
        try:
            tensors |= safetensors.torch.load_file(str(path))
        except (OSError, SafetensorError) as error:
            raise DataError(f"{path} cannot be read as safetensors: {error}") from error
    return {name: tensor.float() for name, tensor in weights_from_hf(kind, tensors).items()}


def write_weights(folder: Path, kind: str, ours: dict[str, Tensor]) -> Path:
    """Write a state dictionary as ``model.safetensors``; weights that are shared come once."""
    seen: set[int] = set()
    tensors = {}
    for name, tensor in weights_to_hf(kind, ours).items():
        if tensor.data_ptr() not in seen:
            tensors[name] = tensor.detach().cpu().contiguous()
        seen.add(tensor.data_ptr())
    path = folder / WEIGHTS
    safetensors.torch.save_file(tensors, str(path), metadata={"format": "pt"})
    return path


class Imported:
    """The weights of a Hugging Face folder in place of random ones: ``model=imported``.

    Args:
        path: the folder.
        sha256: hash of its weights, by which a run knows them again; None accepts any.
    """

    def __init__(self, *, path: str, sha256: str | None = None) -> None:
        self.path = Path(path)
        self.sha256 = sha256

    def __call__(self, model: nn.Module, seed: int) -> None:
        """Overwrite the weights of ``model`` in place; the seed plays no part.

        Raises:
            DataError: they are of another shape, or not those of which the hash was taken.
        """
        del seed
        if self.sha256 is not None and hash_weights(self.path) != self.sha256:
            raise DataError(f"model.init.path={self.path}: the weights there have changed")
        load_imported_weights(model, read_weights(self.path), self.path)


def load_imported_weights(model: nn.Module, tensors: dict[str, Tensor], folder: Path) -> None:
    """Copy weights into a model. Raises :class:`DataError` where they are another model's.

    A head that is absent is the embedding's, and must be here too; learned positions beyond the
    model's context are left out.
    """
    own = model.state_dict()
    if "pos.weight" in tensors and "pos.weight" in own:
        tensors["pos.weight"] = tensors["pos.weight"][: len(own["pos.weight"])]
    tied = own["head.weight"].data_ptr() == own["embedding.weight"].data_ptr()
    if tied and "embedding.weight" in tensors:
        head = tensors.setdefault("head.weight", tensors["embedding.weight"])
        if not torch.equal(head, tensors["embedding.weight"]):
            raise DataError(f"{folder} ties the head to the embedding, but holds another head")
    wrong = sorted(
        name
        for name in own.keys() | tensors.keys()
        if name not in own or name not in tensors or own[name].shape != tensors[name].shape
    )
    if wrong:
        raise DataError(f"{folder} holds weights of another model; different: {', '.join(wrong)}")
    model.load_state_dict(tensors)
