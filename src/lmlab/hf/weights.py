"""Converts weights to and from Hugging Face's names; reads and writes safetensors files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from lmlab.errors import DataError
from lmlab.hf.config_reader import read_config
from lmlab.hf.experts import expert_names
from lmlab.hf.latent_weights import join_latent_weights, split_latent_weights
from lmlab.hf.weight_files import WEIGHTS, hash_weights, weight_files
from lmlab.storage.io import match_mode

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
    # Of latent attention; its other matrices are not those of DeepSeek one by one.
    "attention.sublayer.q_down.weight": "self_attn.q_a_proj.weight",
    "attention.sublayer.q_latent_norm.weight": "self_attn.q_a_layernorm.weight",
    "attention.sublayer.q_up.weight": "self_attn.q_b_proj.weight",
    "attention.sublayer.kv_latent_norm.weight": "self_attn.kv_a_layernorm.weight",
    "attention.sublayer.kv_down_and_k_rope.weight": "self_attn.kv_a_proj_with_mqa.weight",
    "attention.sublayer.k_up_and_v_up.weight": "self_attn.kv_b_proj.weight",
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
# GPT-2 stores matrices transposed (input first), and queries, keys and values concatenated.
_GPT2_MATRICES = {
    "attn.c_attn": ("attention.sublayer.q", "attention.sublayer.k", "attention.sublayer.v"),
    "attn.c_proj": ("attention.sublayer.out",),
    "mlp.c_fc": ("ffn.sublayer.up",),
    "mlp.c_proj": ("ffn.sublayer.down",),
}
_BUFFERS = (".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias")


def weights_to_hf(
    model_type: str, state: dict[str, Tensor], num_heads: int | None = None
) -> dict[str, Tensor]:
    """Rename a state dictionary for ``config.json``.

    Args:
        model_type: of ``config.json``.
        state: weights by their names in lmlab.
        num_heads: H, which the layout of ``deepseek_v3`` depends on.
    """
    if model_type == "lmlab":
        return dict(state)
    if model_type == "gpt2":
        return _to_gpt2(state)
    if model_type == "deepseek_v3":
        state = join_latent_weights(state, _known(num_heads))
    of_layer = _LLAMA_LAYER | expert_names(model_type, state)
    return {_hf_name(name, _LLAMA, of_layer, "model.layers"): t for name, t in state.items()}


def weights_from_hf(
    model_type: str, tensors: dict[str, Tensor], num_heads: int | None = None
) -> dict[str, Tensor]:
    """Undo :func:`weights_to_hf`.

    Raises:
        DataError: there are unknown names, or non-zero biases, which lmlab models do not have.
    """
    tensors = {name: tensor for name, tensor in tensors.items() if not name.endswith(_BUFFERS)}
    if model_type == "lmlab":
        return tensors
    if model_type == "gpt2":
        return _from_gpt2(tensors)
    of_model = {value: key for key, value in _LLAMA.items()}
    layer = _LLAMA_LAYER | expert_names(model_type, tensors)
    of_layer = {value: key for key, value in layer.items()}
    state = {
        _lmlab_name(name, of_model, of_layer, "model.layers."): t for name, t in tensors.items()
    }
    return split_latent_weights(state, _known(num_heads)) if model_type == "deepseek_v3" else state


def _known(num_heads: int | None) -> int:
    assert num_heads is not None
    return num_heads


def _hf_name(name: str, of_model: dict[str, str], of_layer: dict[str, str], layers: str) -> str:
    if name in of_model:
        return of_model[name]
    _, index, part = name.split(".", 2)
    return f"{layers}.{index}.{of_layer[part]}"


def _lmlab_name(name: str, of_model: dict[str, str], of_layer: dict[str, str], layers: str) -> str:
    if name in of_model:
        return of_model[name]
    index, _, part = name.removeprefix(layers).partition(".")
    if not name.startswith(layers) or part not in of_layer:
        raise DataError(f"weights: unknown tensor {name}")
    return f"blocks.{index}.{of_layer[part]}"


def _to_gpt2(state: dict[str, Tensor]) -> dict[str, Tensor]:
    converted: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if tensor.ndim == 1 or name in _GPT2:
            hf_name = _hf_name(name, _GPT2, _GPT2_LAYER, "transformer.h")
            converted[hf_name] = tensor
            if tensor.ndim == 1:
                converted[hf_name.removesuffix("weight") + "bias"] = torch.zeros_like(tensor)
    for prefix in _block_prefixes(state):
        for hf_name, names in _GPT2_MATRICES.items():
            matrix = torch.cat([state[f"{prefix}.{name}.weight"] for name in names])
            full_name = f"transformer.h.{prefix.removeprefix('blocks.')}.{hf_name}"
            converted[f"{full_name}.weight"] = matrix.T.contiguous()
            converted[f"{full_name}.bias"] = matrix.new_zeros(len(matrix))
    return converted


def _block_prefixes(state: dict[str, Tensor]) -> Iterator[str]:
    suffix = ".attention.sublayer.q.weight"
    return (name.removesuffix(suffix) for name in state if name.endswith(suffix))


def _from_gpt2(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    converted: dict[str, Tensor] = {}
    of_model = {value: key for key, value in _GPT2.items()}
    of_layer = {value: key for key, value in _GPT2_LAYER.items()}
    for name, tensor in tensors.items():
        full = name if name.startswith(("transformer.", "lm_head.")) else f"transformer.{name}"
        if full.endswith(".bias"):
            if bool(tensor.any()):
                raise DataError(f"weights: non-zero bias {name}: lmlab models have no biases")
            continue
        part = full.removeprefix("transformer.h.").partition(".")[2].removesuffix(".weight")
        if part not in _GPT2_MATRICES:
            converted[_lmlab_name(full, of_model, of_layer, "transformer.h.")] = tensor
            continue
        index = full.split(".")[2]
        names = _GPT2_MATRICES[part]
        for part_name, matrix in zip(names, tensor.T.chunk(len(names)), strict=True):
            converted[f"blocks.{index}.{part_name}.weight"] = matrix.contiguous()
    return converted


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Return the weights of a Hugging Face folder under lmlab's names, in float32.

    Raises:
        DataError: a file is missing or damaged, or lmlab does not support the weights.
    """
    config = read_config(folder)
    model_type, num_heads = str(config.get("model_type")), config.get("num_attention_heads")
    tensors: dict[str, Tensor] = {}
    for path in weight_files(folder):
        try:
            tensors |= safetensors.torch.load_file(str(path))
        except (OSError, SafetensorError) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{path}: cannot be read as safetensors: {reason}") from error
    converted = weights_from_hf(model_type, tensors, num_heads)
    return {name: tensor.float() for name, tensor in converted.items()}


def write_weights(
    folder: Path, model_type: str, state: dict[str, Tensor], num_heads: int | None = None
) -> Path:
    """Write a state dictionary as ``model.safetensors`` in a new folder; tied weights once.

    See :func:`weights_to_hf` for the arguments.
    """
    seen: set[int] = set()
    tensors = {}
    for name, tensor in weights_to_hf(model_type, state, num_heads).items():
        if tensor.data_ptr() not in seen:
            tensors[name] = tensor.detach().cpu().contiguous()
        seen.add(tensor.data_ptr())
    path = folder / WEIGHTS
    safetensors.torch.save_file(tensors, str(path), metadata={"format": "pt"})
    match_mode(path)
    return path


class Imported:
    """Initial weights from a Hugging Face folder: ``model=imported``.

    Args:
        path: the folder.
        sha256: expected hash of its weights, which identifies them in a run; None to accept any.
    """

    def __init__(self, *, path: str, sha256: str | None = None) -> None:
        self.path = Path(path)
        self.sha256 = sha256

    def __call__(self, model: nn.Module, seed: int) -> None:
        """Overwrite the weights of ``model`` in place, regardless of the seed.

        Raises:
            DataError: the weights do not match the model or the expected hash.
        """
        del seed
        if self.sha256 is not None and hash_weights(self.path) != self.sha256:
            raise DataError(
                f"model.init.path={self.path}: the weights have changed, expected SHA-256 "
                f"{self.sha256}",
                "restore the weights, or start a new run with the present ones",
            )
        load_imported_weights(model, read_weights(self.path), self.path)


def load_imported_weights(model: nn.Module, tensors: dict[str, Tensor], folder: Path) -> None:
    """Copy weights into a model. Raises :class:`DataError` if they do not match it.

    With tied embeddings the head may be absent; otherwise it must equal the embedding. Learned
    positions beyond the model's context are dropped.
    """
    state = model.state_dict()
    if "pos.weight" in tensors and "pos.weight" in state:
        tensors["pos.weight"] = tensors["pos.weight"][: len(state["pos.weight"])]
    tied = state["head.weight"].data_ptr() == state["embedding.weight"].data_ptr()
    if tied and "embedding.weight" in tensors:
        head = tensors.setdefault("head.weight", tensors["embedding.weight"])
        if not torch.equal(head, tensors["embedding.weight"]):
            raise DataError(
                f"{folder}: config.json ties the head to the embedding, but the weights contain a "
                "different head",
                "set tie_word_embeddings to false in config.json",
            )
    wrong = sorted(
        name
        for name in state.keys() | tensors.keys()
        if name not in state or name not in tensors or state[name].shape != tensors[name].shape
    )
    if wrong:
        raise DataError(f"{folder}: the weights do not match config.json: {', '.join(wrong)}")
    model.load_state_dict(tensors)
