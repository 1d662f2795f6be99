"""Ideas beside their baseline: composed, checked, and known by their settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from judged_ideas import started

from lmlab.errors import ConfigError
from lmlab.judge.idea import compose_arms
from lmlab.sweep.run_data_cache import RunDataCache

Texts = tuple[Path, Path]


def test_both_arms_differ_in_the_idea_alone(tmp_path: Path, texts: Texts) -> None:
    _, stream = started(tmp_path, texts)
    arms = compose_arms(stream, "post", ("model.norm=post",), [7, 8, 9, 10])
    manifest = arms.manifest(3)
    assert manifest.names == ["baseline", "post"] and manifest.study == "judge-ideas"
    assert [manifest.evaluation_seeds(name) for name in manifest.names] == [[7, 8, 9]] * 2
    baseline, idea = manifest.arms
    assert {key for key in baseline if baseline[key] != idea[key]} == {"arm", "model"}
    assert manifest.comparison is not None and manifest.comparison.baseline is None


@pytest.mark.long
def test_spellings_of_one_idea_have_one_hash(tmp_path: Path, texts: Texts) -> None:
    _, stream = started(tmp_path, texts)

    def settings(*overrides: str) -> str:
        return compose_arms(stream, "a", overrides, stream.next_seeds()).settings

    one = settings("optim.weight_decay=0.1", "model.norm=post")
    assert one == settings("model/norm=post", "optim.weight_decay=1e-1", "logger=none")
    assert one != settings("optim.weight_decay=0.2", "model.norm=post")


@pytest.mark.long
def test_an_idea_that_changes_nothing_is_refused(tmp_path: Path, texts: Texts) -> None:
    _, stream = started(tmp_path, texts)
    for overrides in ((), ("model.norm=rms",), ("training.log_every=3",)):
        with pytest.raises(ConfigError, match="change nothing"):
            compose_arms(stream, "same", overrides, stream.next_seeds())


@pytest.mark.parametrize(
    ("override", "quantity"),
    [
        pytest.param("training.steps=16", "training tokens", marks=pytest.mark.long),
        ("model.d_model=64", "parameters"),
        pytest.param("model.context_length=8", "context|evaluated", marks=pytest.mark.long),
        pytest.param("data.train=VALID", "data", marks=pytest.mark.long),
    ],
)
def test_an_idea_that_costs_more_is_refused(
    tmp_path: Path, texts: Texts, override: str, quantity: str
) -> None:
    other = tmp_path / "other.txt"
    other.write_text("".join(f"Tale {n}. The dog ran.\n<|endoftext|>\n" for n in range(200)))
    _, stream = started(tmp_path, texts, metric="bits_per_byte")
    text = override.replace("VALID", str(other))
    arms = compose_arms(stream, "more", (text,), stream.next_seeds())
    with pytest.raises(ConfigError, match=quantity) as caught:
        arms.check_data(RunDataCache())
    assert caught.value.help


@pytest.mark.long
def test_what_the_ledger_allows_passes(tmp_path: Path, texts: Texts) -> None:
    _, stream = started(tmp_path, texts, allow=("parameters", "flops"))
    arms = compose_arms(stream, "wide", ("model.d_model=48",), stream.next_seeds())
    arms.check_data(RunDataCache())


@pytest.mark.parametrize("where", ["validation", pytest.param("held-out", marks=pytest.mark.long)])
def test_training_on_a_text_that_measures_is_refused(
    tmp_path: Path, texts: Texts, where: str
) -> None:
    apart, more = tmp_path / "apart.txt", tmp_path / "more.txt"
    apart.write_text("".join(f"Fable {n}. A bird sang.\n<|endoftext|>\n" for n in range(9)))
    _, stream = started(
        tmp_path, texts, metric="bits_per_byte", allow=("data", "tokenizer"), final_text=str(apart)
    )
    first = texts[0].read_text().replace("Story", "Saga")
    overrides = (f"data.train={more}",)
    more.write_text(first)
    compose_arms(stream, "more", overrides, stream.next_seeds()).check_data(RunDataCache())
    leak = {"validation": texts[1], "held-out": apart}[where].read_text().partition("<|")[0]
    more.write_text(f"{first}{leak}<|endoftext|>\n")
    with pytest.raises(ConfigError, match=r"1 of (the|its)") as caught:
        compose_arms(stream, "more", overrides, stream.next_seeds()).check_data(RunDataCache())
    assert "training text" in caught.value.message
