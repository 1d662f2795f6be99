"""What measures is pinned: files that evaluate, the text, its tokens, and the settings."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from judged_ideas import micro, started

from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.judge import pins
from lmlab.judge.idea import compose_arms
from lmlab.judge.terms import Terms
from lmlab.sweep.run_data_cache import RunDataCache

Texts = tuple[Path, Path]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the pinned files."""
    copy = tmp_path_factory.mktemp("package")
    for name in pins.EVALUATION_FILES:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(pins.PACKAGE / name, copy / name)
    return copy


def terms_of(package: Path) -> Terms:
    return Terms("a", (), 0.1, pins={"files": pins.pinned_files(package), "measured": {}})


def test_all_pinned_files_exist() -> None:
    assert "removed" not in pins.pinned_files().values()


def test_an_edited_evaluator_is_refused(package: Path) -> None:
    terms, file = terms_of(package), package / "training" / "evaluator.py"
    pins.check_files(terms, package)
    before = file.read_text("utf-8")
    file.write_text(before.replace("losses.cpu().double().sum()", "losses.cpu().double().min()"))
    with pytest.raises(ConfigError) as caught:
        pins.check_files(terms, package)
    file.write_text(before)
    assert caught.value.message.startswith("src/lmlab/training/evaluator.py: changed since")
    assert "restore the file" in str(caught.value.help)


def test_a_comment_in_the_evaluator_is_not(package: Path) -> None:
    terms, file = terms_of(package), package / "nn" / "loss.py"
    before = file.read_text("utf-8")
    file.write_text(before + "\n# A remark.\n")
    pins.check_files(terms, package)
    file.unlink()
    with pytest.raises(ConfigError, match=re.escape("nn/loss.py")):
        pins.check_files(terms, package)
    file.write_text(before)


def test_another_validation_text_is_refused(tmp_path: Path, texts: Texts) -> None:
    """Also where no key of the idea names it: the file has other content now."""
    valid = tmp_path / "valid.txt"
    shutil.copy(texts[1], valid)
    _, stream = started(tmp_path, (texts[0], valid))
    valid.write_text("The cat sat on the mat.\n" * 30)
    arms = compose_arms(stream, "good", ("optim.weight_decay=0.1",), stream.next_seeds())
    with pytest.raises(ConfigError, match="baseline: validation text: "):
        arms.check_data(RunDataCache())


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (["validation.max_tokens=64"], "validation.max_tokens=64"),
        (["validation.every_steps=1"], "validation.every_steps=1"),
        (["model.vocab_size=290"], "tokenizer"),
    ],
)
def test_other_settings_of_the_measurement_are_refused(
    tmp_path: Path, texts: Texts, change: list[str], name: str
) -> None:
    _, stream = started(tmp_path, texts, allow=("tokenizer", "evaluation"))
    config = compose(micro(tmp_path, texts, *change))
    with pytest.raises(ConfigError, match=re.escape(name)):
        pins.check_measured("idea", config, RunDataCache().get(config), stream.terms)


def test_bits_per_byte_allow_another_tokenizer(tmp_path: Path, texts: Texts) -> None:
    _, stream = started(tmp_path, texts, metric="bits_per_byte")
    config = compose(micro(tmp_path, texts, "model.vocab_size=290"))
    pins.check_measured("idea", config, RunDataCache().get(config), stream.terms)
