"""Folders of exported runs: what is overwritten, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.config.compose import compose
from lmlab.errors import ConfigError, DataError
from lmlab.export.folder import export_run
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute


@pytest.fixture
def run(overrides: list[str]) -> RunFolder:
    """A run of about a second."""
    return execute(compose([*overrides, "optim.lr=1e-2"])).run


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", "mine", "it holds notes.txt"),
        ("src/app.ts", "", "it holds src"),
        ("config.json", '{"api": "https://example.org"}', "it holds no config.json of an export"),
        (
            "config.json",
            '{"lmlab_version": "1", "transformers_version": "5"}',
            "it holds no config.json",
        ),
        ("config.json", "[1]", "it holds no config.json of an export"),
        ("README.md", "mine", "it holds no config.json of an export"),
    ],
)
def test_a_folder_of_other_files_is_not_overwritten(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    target = tmp_path / "app"
    (target / name).parent.mkdir(parents=True)
    if name not in ("config.json", "README.md"):  # a change to what was an export
        (target / "config.json").write_text('{"lmlab_version": "1"}')
    (target / name).write_text(content)
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    with pytest.raises(DataError, match=rf"to={target}: .*\({message}"):
        export_run(tmp_path / "run", target)
    assert before == {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}


def test_an_export_replaces_an_earlier_one_also_in_the_working_directory(
    run: RunFolder, overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = execute(compose([*overrides, "model.pos=nope", "study=other"])).run
    target = tmp_path / "out"
    target.mkdir()
    monkeypatch.chdir(target)
    export_run(other.path, Path("."), check=False)
    code = [target / "modeling_lmlab.py", target / "parts_lmlab.py"]
    assert all(path.is_file() for path in code)
    export_run(run.path, target, check=False)
    assert not any(path.exists() for path in code)
    assert (target / "learning_curve.png").is_file()


def test_a_custom_component_is_refused_by_name(run: RunFolder, tmp_path: Path) -> None:
    text = run.config.read_text()
    run.config.write_text(text.replace("lmlab.nn.norm.PreRMSNorm", "lmlab.nn.norm.RMSNorm"))
    assert run.config.read_text() != text
    with pytest.raises(ConfigError, match=r"model\.norm"):
        export_run(run.path, tmp_path / "out")
