"""Which groups of runs have losses that can be compared."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from found_runs import write_found_run, write_found_runs

from lmlab.errors import ConfigError
from lmlab.study.exploratory.comparability import NotComparable, check_allowed
from lmlab.study.exploratory.write_comparison import Choices, compare_runs

A = {0: 3.00, 1: 3.02, 2: 2.99, 3: 3.01}
B = {0: 2.90, 1: 2.93, 2: 2.88, 3: 2.91}
POST = ["model.norm=post"]


@pytest.mark.parametrize(
    ("overrides", "facts", "reason"),
    [
        (
            [],
            {"valid_text": "w" * 64},
            "evaluation tokens 5,000, and 5,000 in A, of different text",
        ),
        ([], {"num_tokens": 4000}, "evaluation tokens 4,000, but 5,000 in A"),
        (["model.context_length=32"], {}, "B: context 32, but"),
    ],
)
def test_losses_without_a_common_meaning_are_refused(
    tmp_path: Path, overrides: list[str], facts: dict[str, Any], reason: str
) -> None:
    a = write_found_runs(tmp_path, "a", A)
    b = write_found_runs(tmp_path, "b", B, overrides, **facts)
    with pytest.raises(NotComparable, match=reason) as raised:
        compare_runs(a, b, Choices())
    assert raised.value.exit_code == 1
    assert raised.value.help is not None and "compares them nevertheless" in raised.value.help
    allow = tuple(raised.value.quantities)
    content = compare_runs(a, b, Choices(allow=allow))
    assert any(reason.split(",")[0] in line for line in content["result"]["unequal"])
    assert "no measure of the same thing" in str(content["sections"])


def test_what_is_not_equal_is_told(tmp_path: Path) -> None:
    a = write_found_runs(tmp_path, "a", A)
    b = write_found_runs(tmp_path, "b", B, POST, parameters=2000, device="cuda")
    content = compare_runs(a, b, Choices())
    (line,) = content["result"]["unequal"]
    assert line.startswith("B: parameters 2,000, but 1,000 in A")
    rows = [row for one in content["sections"] for table in one["tables"] for row in table["rows"]]
    assert ["device.device_type", "cpu", "cuda"] in rows


def test_other_tokenizers_are_compared_by_bits_per_byte(tmp_path: Path) -> None:
    a = write_found_runs(tmp_path, "a", A, bits_per_byte=1.0)
    for seed, loss in B.items():  # a lower loss per token, but more bits per byte
        write_found_run(tmp_path, "b", seed, loss, POST, tokenizer="u" * 64, num_tokens=9000,
                        bits_per_byte=1.1 + seed / 1000)  # fmt: skip
    content = compare_runs(a, str(tmp_path / "runs/b"), Choices())
    assert (content["result"]["verdict"], content["result"]["metric"]) == ("worse", "bits_per_byte")
    assert content["result"]["difference"] == pytest.approx(0.1015)
    assert any("compared by bits per byte" in line for line in content["headline"])
    assert content["curves"][0]["loss"][-1] == pytest.approx(1.0)


def test_the_error_survives_pickling_and_becomes_json() -> None:
    error = pickle.loads(pickle.dumps(NotComparable(["B: context 1"], ["context"])))
    assert error.as_dict()["reasons"] == ["B: context 1"]
    assert "allow=context compares them" in str(error)


def test_only_what_forbids_a_comparison_can_be_allowed() -> None:
    check_allowed(["context", "evaluation"])
    with pytest.raises(ConfigError, match="allow=tokens: expected some of context, evaluation"):
        check_allowed(["tokens"])
