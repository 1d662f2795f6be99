"""What users call with an export: tokenizer and model together, padding, losses, generation."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from remote_code import keep_remote_code_in
from run_to_export import SIZES, make_run
from torch.nn import functional as F

import lmlab
from lmlab.config.compose import compose
from lmlab.errors import DataError
from lmlab.export.check import check_export
from lmlab.export.folder import export_run
from lmlab.nn.transformer import Transformer
from lmlab.tokenizer import Tokenizer

transformers = pytest.importorskip("transformers")

LLAMA = ["model.attention.qk_norm=true"]
GPT2 = ["model.norm=layernorm", "model.pos=learned", "model.ffn=gelu"]
OWN = ["model.norm=post", "model.pos=learned", "model.attention.num_kv_heads=2"]
OWN_ROPE = ["model.norm=none", "model.ffn=relu2", "model.tie_embeddings=true"]
TEXTS = ["a bad cab", "a fed bee, a bad cab é<|end|>"]
END = ["<|end|>", "<s>"]


class Export(NamedTuple):
    model: Transformer
    tokenizer: Tokenizer
    hf_model: Any
    hf_tokenizer: Any
    folder: Path


@pytest.fixture(autouse=True, scope="module")
def _offline_on_one_thread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        cache = str(tmp_path_factory.mktemp("modules"))
        keep_remote_code_in(Path(cache), patch)
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        transformers.utils.logging.disable_progress_bar()
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)


def export_of(folder: Path, choice: list[str]) -> Export:
    model, tokenizer = make_run(folder / "run", compose([*SIZES, *choice]), END)
    export_run(folder / "run", folder / "hf", check=False)
    return Export(
        model,
        tokenizer,
        transformers.AutoModelForCausalLM.from_pretrained(
            folder / "hf", trust_remote_code=True
        ).eval(),
        transformers.AutoTokenizer.from_pretrained(folder / "hf", trust_remote_code=True),
        folder / "hf",
    )


@pytest.fixture(
    scope="module", params=[LLAMA, GPT2, OWN, OWN_ROPE], ids=["llama", "gpt2", "own", "own_rope"]
)
def export(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Export:
    return export_of(tmp_path_factory.mktemp("export"), request.param)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Export:
    return export_of(tmp_path_factory.mktemp("own"), OWN)


@torch.inference_mode()
def test_the_model_takes_what_the_tokenizer_returns(export: Export) -> None:
    for text in TEXTS:
        inputs = export.hf_tokenizer(text, return_tensors="pt")
        assert inputs["input_ids"].tolist() == [export.tokenizer.encode(text)]
        logits = export.hf_model(**inputs).logits
        torch.testing.assert_close(logits, export.model(inputs["input_ids"]), atol=1e-5, rtol=0)
        generated = export.hf_model.generate(**inputs, max_new_tokens=3, do_sample=False)
        assert generated.shape[1] > inputs["input_ids"].shape[1]


@pytest.mark.parametrize("side", ["left", "right", "default"])
@torch.inference_mode()
def test_padding_changes_no_logit(export: Export, side: str) -> None:
    tokenizer = copy.deepcopy(export.hf_tokenizer)
    tokenizer.padding_side = tokenizer.padding_side if side == "default" else side
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    real = batch["attention_mask"].bool()
    positions: dict[str, torch.Tensor] = {}
    if export.hf_model.config.model_type == "gpt2" and side == "left":  # as its generate does
        positions = {"position_ids": (real.long().cumsum(-1) - 1).clamp(min=0)}
    logits = export.hf_model(**batch, **positions).logits
    for row, text in enumerate(TEXTS):
        expected = export.model(torch.tensor([export.tokenizer.encode(text)]))[0]
        torch.testing.assert_close(logits[row][real[row]], expected, atol=1e-5, rtol=0)


def test_a_text_ends_at_the_end_of_text_token_of_any_name(export: Export) -> None:
    ids = {"eos_token_id": 298, "bos_token_id": 298, "pad_token_id": 298}
    for name in ("config.json", "generation_config.json"):
        saved = json.loads((export.folder / name).read_text())
        assert {key: saved[key] for key in ids} == ids, name
    assert export.hf_tokenizer.eos_token == export.hf_tokenizer.bos_token == "<|end|>"
    again = lmlab.load(export.folder, device="cpu").tokenizer
    assert again.hash == export.tokenizer.hash
    assert (again.end_of_text_id, again.start_id) == (298, 298)
    model = copy.deepcopy(export.hf_model)
    model.get_output_embeddings().weight.data.zero_()  # all logits are 0 but that of the end
    model.get_output_embeddings().bias = torch.nn.Parameter(torch.zeros(300))
    model.get_output_embeddings().bias.data[298] = 1.0
    inputs = export.hf_tokenizer("a", return_tensors="pt")
    assert model.generate(**inputs, max_new_tokens=5, do_sample=False)[0].tolist()[1:] == [298]


def reference_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The sum over predicted tokens, with an independent loop over the rows."""
    total = logits.new_zeros(())
    for row, wanted in zip(logits, labels, strict=True):
        for position in range(1, len(wanted)):
            if wanted[position] != -100:
                total = total - F.log_softmax(row[position - 1], -1)[wanted[position]]
    return total


@pytest.mark.parametrize("rows", [16, 4, 1])
def test_accumulated_gradients_do_not_depend_on_the_micro_batch(export: Export, rows: int) -> None:
    """As Trainer accumulates: it passes the number of targets of all micro-batches."""
    chance = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 298, (16, 10), generator=chance)
    labels = tokens.clone()
    for row in range(16):
        labels[row, : row % 5] = -100
    count = int((labels[:, 1:] != -100).sum())
    model = copy.deepcopy(export.hf_model)
    takes_kwargs = getattr(type(model), "accepts_loss_kwargs", True)
    assert takes_kwargs, "Trainer would then divide the loss itself"
    parameters = list(model.parameters())
    expected = reference_loss(model(tokens).logits, labels) / count
    gradients = torch.autograd.grad(expected, parameters, allow_unused=True)

    total = 0.0
    for first in range(0, 16, rows):
        part = slice(first, first + rows)
        loss = model(
            input_ids=tokens[part], labels=labels[part], num_items_in_batch=torch.tensor(count)
        ).loss
        loss.backward()
        total += float(loss.detach())
    assert total == pytest.approx(float(expected.detach()), rel=1e-5)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is not None:
            assert parameter.grad is not None
            torch.testing.assert_close(parameter.grad, gradient, atol=1e-6, rtol=1e-4)


@torch.inference_mode()
def test_without_a_count_the_loss_is_the_mean_over_targets(own: Export) -> None:
    tokens = torch.tensor([own.tokenizer.encode(TEXTS[1])])
    labels = torch.where(torch.arange(tokens.shape[1]) < 4, -100, tokens)
    found = own.hf_model(tokens, labels=labels)
    mean = reference_loss(found.logits, labels) / int((labels[:, 1:] != -100).sum())
    assert float(found.loss) == pytest.approx(float(mean), rel=1e-5)
    shifted = F.pad(labels, (0, 1), value=-100)[:, 1:]
    assert float(own.hf_model(tokens, shift_labels=shifted).loss) == pytest.approx(float(mean))


@torch.inference_mode()
def test_every_way_to_pass_a_text_gives_the_same_logits(own: Export) -> None:
    model, ids = own.hf_model, torch.tensor([own.tokenizer.encode(TEXTS[1])])
    length = ids.shape[1]
    expected = own.model(ids)
    embedded = model.get_input_embeddings()(ids)
    causal = torch.ones(length, length, dtype=torch.bool).tril()[None, None]
    added = torch.zeros(1, 1, length, length).masked_fill(~causal, torch.finfo(torch.float32).min)
    cache = transformers.DynamicCache()
    model(ids[:, :3], past_key_values=cache)
    renamed = transformers.DynamicCache()  # as transformers 5.24 calls it
    model(ids[:, :3], cache=renamed)
    for found in (
        model(ids, return_dict=False)[0],
        model(inputs_embeds=embedded).logits,
        model(ids, attention_mask=causal).logits,
        model(ids, attention_mask=added).logits,
        model(ids, attention_mask=torch.ones_like(ids), use_cache=False).logits,
        torch.cat([expected[:, :3], model(ids[:, 3:], past_key_values=cache).logits], dim=1),
        torch.cat([expected[:, :3], model(ids[:, 3:], cache=renamed).logits], dim=1),
        model(ids, output_attentions=True).logits,
    ):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    kept = model(ids, logits_to_keep=2).logits
    torch.testing.assert_close(kept, expected[:, -2:], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_hidden_states_and_attentions_are_those_of_the_computation(own: Export) -> None:
    model, ids = own.hf_model, torch.tensor([own.tokenizer.encode(TEXTS[1])])
    found = model(ids, output_hidden_states=True, output_attentions=True)
    assert len(found.hidden_states) == model.config.num_hidden_layers + 1
    torch.testing.assert_close(model.head(found.hidden_states[-1]), found.logits)
    for weights in found.attentions:
        assert weights.shape == (1, 4, ids.shape[1], ids.shape[1])
        torch.testing.assert_close(weights.sum(-1), torch.ones(1, 4, ids.shape[1]))
        assert float(weights.triu(1).abs().max()) == 0.0


@torch.inference_mode()
def test_static_cache_beams_and_embeddings_generate_the_same_text(own: Export) -> None:
    inputs = own.hf_tokenizer(TEXTS[0], return_tensors="pt")
    how: dict[str, Any] = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None}
    expected = own.hf_model.generate(**inputs, **how).tolist()
    static = {"cache_implementation": "static", "disable_compile": True}
    assert own.hf_model.generate(**inputs, **how, **static).tolist() == expected
    assert own.hf_model.generate(**inputs, **how, use_cache=False).tolist() == expected
    embedded = own.hf_model.get_input_embeddings()(inputs["input_ids"])
    mask = inputs["attention_mask"]
    from_embeddings = own.hf_model.generate(inputs_embeds=embedded, attention_mask=mask, **how)
    assert from_embeddings.tolist() == [row[inputs["input_ids"].shape[1] :] for row in expected]


def test_gradient_checkpointing_gives_the_same_gradients(own: Export) -> None:
    ids = torch.tensor([own.tokenizer.encode(TEXTS[1])])
    model = copy.deepcopy(own.hf_model).train()
    model(ids, labels=ids).loss.backward()
    expected = [parameter.grad for parameter in model.parameters()]
    model.zero_grad()
    model.gradient_checkpointing_enable()
    model(ids, labels=ids).loss.backward()
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        assert parameter.grad is not None and gradient is not None
        torch.testing.assert_close(parameter.grad, gradient)


@torch.inference_mode()
def test_an_export_survives_saving_resizing_and_bfloat16(own: Export, tmp_path: Path) -> None:
    own.hf_model.save_pretrained(tmp_path / "again")
    own.hf_tokenizer.save_pretrained(tmp_path / "again")
    again = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "again", trust_remote_code=True
    ).eval()
    inputs = own.hf_tokenizer(TEXTS, padding=True, return_tensors="pt")
    logits = own.hf_model(**inputs).logits
    assert torch.equal(again(**inputs).logits, logits)
    assert again.generation_config.eos_token_id == 298
    again.resize_token_embeddings(303, mean_resizing=False)
    assert again.get_output_embeddings().weight.shape == (303, 32)
    torch.testing.assert_close(again(**inputs).logits[..., :300], logits)
    halved = copy.deepcopy(own.hf_model).to(torch.bfloat16)
    rounded = halved(**inputs).logits
    assert rounded.dtype == torch.bfloat16 and bool(rounded.isfinite().all())
    assert float((rounded.float() - logits).abs().max()) < 0.1 * float(logits.abs().max())


def test_an_input_that_would_be_ignored_is_refused(own: Export) -> None:
    ids = torch.tensor([[1, 2, 3]])
    for wrong, message in (
        ({"token_type_ids": torch.zeros_like(ids)}, "token_type_ids: LMLabForCausalLM has no such"),
        ({"past_key_values": ((ids, ids),)}, "past_key_values: expected a Cache"),
        ({"attention_mask": torch.ones(1, 2)}, r"attention_mask of shape \(1, 2\): expected"),
        ({"inputs_embeds": torch.zeros(1, 3, 32)}, "exactly one of input_ids and inputs_embeds"),
        ({"position_ids": torch.tensor([[0, 1, 224]])}, "position 224: .* up to 223"),
        ({"labels": ids, "logits_to_keep": 1}, "labels: expected logits of all tokens"),
    ):
        with pytest.raises(ValueError, match=message):
            own.hf_model(ids, **wrong)


def test_the_check_calls_the_model_with_the_tokenizer(own: Export, tmp_path: Path) -> None:
    loaded = lmlab.load(own.folder.with_name("run"), device="cpu")
    assert any("padded batch and generation" in line for line in check_export(own.folder, loaded))
    path = own.folder / "tokenizer_config.json"
    before = path.read_text()
    names = ["input_ids", "token_type_ids", "attention_mask"]
    path.write_text(json.dumps(json.loads(before) | {"model_input_names": names}))
    try:
        with pytest.raises(DataError, match="refuses what the exported tokenizer returns"):
            check_export(own.folder, loaded)
    finally:
        path.write_text(before)
