"""Scores equal those of lm-evaluation-harness on the exported folder, item by item."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import yaml
from run_to_export import SIZES, make_run

import lmlab
from lmlab.config.compose import compose
from lmlab.config.task_settings import parse_tasks
from lmlab.export.folder import export_run
from lmlab.tasks.evaluation import evaluate_tasks
from lmlab.tasks.task import TaskResult
from lmlab.tasks.task_file import TaskFile

lm_eval = pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
pytest.importorskip("accelerate", reason="the harness loads exports with accelerate")

pytestmark = pytest.mark.long

_DRAW = random.Random(0)
_WORDS = ["a", "bad", "cab", "fed", "bee", "café", "da", "faced", "x", "Ünf"]


def _words(least: int, most: int) -> str:
    return " ".join(_DRAW.choices(_WORDS, k=_DRAW.randint(least, most)))


ITEMS: dict[str, list[dict[str, Any]]] = {
    "pairs": [
        {"sentence_good": f"{_words(2, 9)}.", "sentence_bad": f"{_words(2, 9)}!"} for _ in range(25)
    ],
    "choices": [
        {
            # Empty, ends in white space, plain, and longer than the 224 tokens of the model.
            "context": ["", f"{_words(3, 9)} \n", _words(1, 20), _words(150, 200)][index % 4],
            "choices": [_words(1, 6) + "." * number for number in range(2 + index % 3)],
            "answer": index % 2,
        }
        for index in range(40)
    ],
    "cloze": [{"text": _words(4, 30)} for _ in range(30)],
    "documents": [{"text": _words(least, least + 3)} for least in (1, 20, 90, 150, 300)],
}
YAML: dict[str, dict[str, Any]] = {
    "pairs": {
        "output_type": "multiple_choice", "doc_to_text": "", "doc_to_target": 0,
        "doc_to_choice": "{{[sentence_good, sentence_bad]}}",
    },
    "choices": {
        "output_type": "multiple_choice", "doc_to_text": "{{context}}",
        "doc_to_target": "{{answer}}", "doc_to_choice": "{{choices}}",
    },
    "cloze": {
        "output_type": "loglikelihood", "doc_to_text": "{{text.split(' ')[:-1]|join(' ')}}",
        "doc_to_target": "{{' '+text.split(' ')[-1]}}",
    },
    "documents": {
        "output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{text}}",
    },
    "written": {
        "output_type": "generate_until", "doc_to_text": "{{text}}", "doc_to_target": "{{text}}",
        "generation_kwargs": {"until": ["bc", "zz"], "max_gen_toks": 12},
    },
}  # fmt: skip
METRICS = {
    "multiple_choice": ["acc", "acc_norm", "acc_bytes"],
    "loglikelihood": ["acc", "perplexity"],
    "loglikelihood_rolling": ["bits_per_byte"],
    "generate_until": ["exact_match"],
}
SETTINGS = {"cloze": {"kind": "cloze"}, "documents": {"kind": "text"}}


class Prepared(NamedTuple):
    folder: Path
    exported: dict[str, Any]
    adapted: dict[str, Any]


def _evaluate(model: Any, folder: Path, names: list[str]) -> dict[str, Any]:
    from lm_eval.tasks import TaskManager

    found = lm_eval.simple_evaluate(
        model=model, tasks=names, bootstrap_iters=0, log_samples=True, random_seed=0,
        task_manager=TaskManager(include_path=str(folder / "tasks"), include_defaults=False),
    )  # fmt: skip
    assert found is not None
    return dict(found)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    folder = tmp_path_factory.mktemp("harness")
    make_run(folder / "run", compose(SIZES))
    export_run(folder / "run", folder / "hf", check=False)
    (folder / "tasks").mkdir()
    for name, settings in YAML.items():
        items = ITEMS["cloze" if name == "written" else name]
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(item) + "\n" for item in items), "utf-8")
        content = {
            "task": name, "dataset_path": "json", "test_split": "test",
            "dataset_kwargs": {
                "data_files": {"test": str(path)}, "cache_dir": str(folder / "cache"),
            },
            "metric_list": [{"metric": one} for one in METRICS[settings["output_type"]]],
        }  # fmt: skip
        (folder / "tasks" / f"{name}.yaml").write_text(yaml.safe_dump(content | settings), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        from lm_eval.models.huggingface import HFLM

        from lmlab.harness.model import HarnessModel

        exported = HFLM(
            pretrained=str(folder / "hf"), device="cpu", dtype="float32", batch_size=8,
            trust_remote_code=True,
        )  # fmt: skip
        names = list(YAML)
        adapter = HarnessModel(*lmlab.load(folder / "run", device="cpu"), batch_size=5)
        yield Prepared(
            folder, _evaluate(exported, folder, names), _evaluate(adapter, folder, names)
        )


def _samples(results: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return sorted(results["samples"][name], key=lambda sample: sample["doc_id"])


def _own(prepared: Prepared, name: str, batch_size: int) -> TaskResult:
    loaded = lmlab.load(prepared.folder / "run", device="cpu")
    entry = {"file": str(prepared.folder / f"{name}.jsonl"), **SETTINGS.get(name, {})}
    (task,) = [
        TaskFile(one).load(loaded.tokenizer, loaded.model.context_length)
        for one in parse_tasks([entry])
    ]
    ((_, result),) = evaluate_tasks(*loaded, [task], batch_size=batch_size)
    return result


@pytest.mark.parametrize("batch_size", [1, 16])
@pytest.mark.parametrize("name", ["pairs", "choices"])
def test_choices(prepared: Prepared, name: str, batch_size: int) -> None:
    result, samples = _own(prepared, name, batch_size), _samples(prepared.exported, name)
    assert len(result.items) == len(samples) == len(ITEMS[name])
    for row, sample, item in zip(result.items, samples, ITEMS[name], strict=True):
        likelihoods = [response[0] for response in sample["filtered_resps"]]
        answer = item.get("answer", 0)
        best_wrong = max(one for index, one in enumerate(likelihoods) if index != answer)
        assert row["margin"] == pytest.approx(likelihoods[answer] - best_wrong, abs=1e-4)
        assert row["accuracy"] == sample["acc"]
        assert row["accuracy_norm"] == sample["acc_bytes"]
    scores = prepared.exported["results"][name]
    assert result.scores["accuracy"] == pytest.approx(scores["acc,none"], abs=1e-12)
    assert result.scores["accuracy_norm"] == pytest.approx(scores["acc_bytes,none"], abs=1e-12)
    assert 0 < result.scores["accuracy"] < 1
    assert result.scores["accuracy_norm"] != result.scores["accuracy"]


@pytest.mark.parametrize("batch_size", [1, 16])
def test_cloze(prepared: Prepared, batch_size: int) -> None:
    result, samples = _own(prepared, "cloze", batch_size), _samples(prepared.exported, "cloze")
    for row, sample in zip(result.items, samples, strict=True):
        ((likelihood, is_greedy),) = sample["filtered_resps"]
        assert row["log_likelihood"] == pytest.approx(likelihood, abs=1e-4)
        assert row["accuracy"] == int(is_greedy)
    scores = prepared.exported["results"]["cloze"]
    assert result.scores["accuracy"] == pytest.approx(scores["acc,none"], abs=1e-12)
    assert result.scores["perplexity"] == pytest.approx(scores["perplexity,none"], rel=1e-5)


@pytest.mark.parametrize("batch_size", [1, 16])
def test_documents(prepared: Prepared, batch_size: int) -> None:
    result = _own(prepared, "documents", batch_size)
    for row, sample in zip(result.items, _samples(prepared.exported, "documents"), strict=True):
        assert -row["nats"] == pytest.approx(_number(sample["filtered_resps"]), rel=1e-6)
    scores = prepared.exported["results"]["documents"]
    assert result.scores["bits_per_byte"] == pytest.approx(scores["bits_per_byte,none"], rel=1e-6)
    assert max(row["num_tokens"] for row in result.items) > 3 * 224, "several windows"


def _number(responses: Any) -> float:
    while isinstance(responses, list | tuple):
        (responses,) = responses
    return float(responses)


@pytest.mark.parametrize("name", list(YAML))
def test_the_adapter_gives_the_answers_of_the_export(prepared: Prepared, name: str) -> None:
    pairs = zip(_samples(prepared.adapted, name), _samples(prepared.exported, name), strict=True)
    for here, there in pairs:
        left, right = here["filtered_resps"], there["filtered_resps"]
        if name == "written":
            assert left == right
            continue
        left_numbers, right_numbers = (
            np.ravel(np.array(one, dtype=float)) for one in (left, right)
        )
        assert left_numbers == pytest.approx(right_numbers, abs=1e-4, rel=1e-6)
    here, there = (one["results"][name] for one in (prepared.adapted, prepared.exported))
    for key, value in there.items():
        if isinstance(value, float) and math.isfinite(value):
            assert here[key] == pytest.approx(value, rel=1e-5), key
    if name == "written":
        texts = [sample["filtered_resps"][0] for sample in _samples(prepared.adapted, name)]
        assert len(set(texts)) > 1 and not any("bc" in text for text in texts)


def test_the_command_runs_a_task_from_a_local_file(prepared: Prepared) -> None:
    command = [
        sys.executable, "-m", "lmlab.harness", "--model_args",
        f"run={prepared.folder / 'run'}", "--tasks", "pairs", "--device", "cpu",
        "--include_path", str(prepared.folder / "tasks"), "--batch_size", "4",
        "--output_path", str(prepared.folder / "results"),
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert ran.returncode == 0, ran.stderr
    (path,) = (prepared.folder / "results").rglob("results*.json")
    content = json.loads(path.read_text("utf-8"))
    expected = prepared.exported["results"]["pairs"]["acc,none"]
    assert content["results"]["pairs"]["acc,none"] == pytest.approx(expected, abs=1e-12)
    assert "lmlab" in json.dumps(content["config"]["model"])


def test_the_command_says_what_is_missing(prepared: Prepared) -> None:
    command = [sys.executable, "-m", "lmlab.harness", "--tasks", "pairs"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("error: --model_args: expected the folder of a run\nhelp: python")


def test_the_weights_make_real_choices(prepared: Prepared) -> None:
    """The comparison is empty for a model whose distributions are flat."""
    model, tokenizer = lmlab.load(prepared.folder / "run", device="cpu")
    with torch.no_grad():
        logits = model(torch.tensor([tokenizer.encode("a bad cab")]))[0, -1]
    assert float(logits.softmax(-1).max()) > 10 / tokenizer.vocab_size
