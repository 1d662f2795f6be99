"""Waiting jobs run the code of their submission."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import lmlab
from lmlab.config.paths import conf_folder
from lmlab.errors import ConfigError
from lmlab.runtime.provenance import code_version
from lmlab.sweep import code_snapshot


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trusted package that is edited in place."""
    path = tmp_path / "edited" / "own_parts_for_test.py"
    path.parent.mkdir()
    path.write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(str(path.parent))
    monkeypatch.setattr(code_snapshot, "trusted_packages", lambda: ["own_parts_for_test", "numpy"])
    return path


def test_a_snapshot_is_complete_and_unaffected_by_edits(tmp_path: Path, package: Path) -> None:
    taken = code_snapshot.take_snapshot(tmp_path)
    package.write_text("VALUE = 2\n")
    printed = subprocess.run(
        [sys.executable, "-c", "import own_parts_for_test as own, lmlab\n"
         "from lmlab.config.paths import conf_folder\n"
         "print(own.VALUE, lmlab.__file__, conf_folder(), sep='\\n')"],
        env={"PYTHONPATH": f"{taken}:{package.parent}"}, cwd=tmp_path,
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert printed == ["1", str(taken / "lmlab" / "__init__.py"), str(taken / "lmlab" / "conf")]
    demos = Path(lmlab.__file__).parents[1] / "lmlab_studies"
    assert sorted(path.name for path in (taken / "lmlab_studies").glob("*.py")) == sorted(
        path.name for path in demos.glob("*.py")
    )
    assert not (taken / "numpy").exists(), "installed packages are not copied"
    assert (conf_folder() / "train.yaml").read_text() == (
        taken / "lmlab" / "conf" / "train.yaml"
    ).read_text()


def test_the_package_of_a_trusted_part_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "edited" / "package_of_parts" / "part"
    folder.mkdir(parents=True)
    for each in (folder, folder.parent):
        (each / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(folder.parents[1]))
    monkeypatch.setattr(code_snapshot, "trusted_packages", lambda: ["package_of_parts.part"])
    taken = code_snapshot.take_snapshot(tmp_path)
    assert (taken / "package_of_parts" / "part" / "__init__.py").is_file()


def test_a_package_without_an_init_file_is_copied_too(tmp_path: Path, package: Path) -> None:
    package.unlink()
    layers = package.parent / "own_parts_for_test" / "layers.py"
    layers.parent.mkdir()
    layers.write_text("VALUE = 1\n")
    importlib.invalidate_caches()
    taken = code_snapshot.take_snapshot(tmp_path)
    assert (taken / "own_parts_for_test" / "layers.py").read_text() == "VALUE = 1\n"


def test_only_changed_code_is_copied_again(tmp_path: Path, package: Path) -> None:
    first = code_snapshot.take_snapshot(tmp_path)
    assert code_snapshot.take_snapshot(tmp_path) == first
    package.write_text("VALUE = 2\n")
    assert code_snapshot.take_snapshot(tmp_path) != first


def test_a_snapshot_records_the_version_of_its_code(tmp_path: Path, package: Path) -> None:
    taken = code_snapshot.take_snapshot(tmp_path)
    here = Path(lmlab.__file__).parent
    assert code_version(taken / "lmlab") == code_version(here)


def test_a_package_that_contains_data_is_refused(tmp_path: Path, package: Path) -> None:
    package.unlink()
    folder = package.parent / "own_parts_for_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "corpus.bin").touch()
    with (folder / "corpus.bin").open("r+b") as data:
        data.truncate(code_snapshot._MAX_PACKAGE_BYTES + 1)
    with pytest.raises(
        ConfigError, match=r"own_parts_for_test: expected a trusted package of at most 200 MB"
    ) as error:
        code_snapshot.take_snapshot(tmp_path)
    assert "move data out" in str(error.value.help)


@pytest.mark.parametrize("place", ["own_parts_for_test.py", "lmlab/train.py"])
def test_a_damaged_snapshot_is_copied_again(
    tmp_path: Path, package: Path, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    taken = code_snapshot.take_snapshot(tmp_path)
    path = taken / place
    intact = path.read_bytes()
    for damage in (lambda: path.write_bytes(b"VALUE = 3\n"), path.unlink):
        caplog.clear()
        damage()
        assert code_snapshot.take_snapshot(tmp_path) == taken
        assert path.read_bytes() == intact
        assert f"{taken}: not the code that was copied" in caplog.text
    assert [one.name for one in taken.parent.iterdir()] == [taken.name]


def test_code_that_changes_while_it_is_copied_is_never_under_the_former_name(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = code_snapshot.take_snapshot(tmp_path / "before")
    plain, edits = code_snapshot._copy, [2]

    def copy(source: Path, target: Path) -> None:
        if source == package and edits:
            package.write_text(f"VALUE = {edits.pop()}\n")
        plain(source, target)

    monkeypatch.setattr(code_snapshot, "_copy", copy)
    taken = code_snapshot.take_snapshot(tmp_path / "after")
    assert taken.name != before.name
    assert (taken / package.name).read_text() == "VALUE = 2\n"
    package.write_text("VALUE = 6\n")
    edits += [5, 4, 3]
    with pytest.raises(ConfigError, match="the code changed while it was copied"):
        code_snapshot.take_snapshot(tmp_path / "after")
