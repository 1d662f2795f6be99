from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.build.user_code import package_code, user_code, user_packages


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    package_code.cache_clear()


def source_of(name: str) -> str | None:
    package_code.cache_clear()
    return package_code(name)["source"]


def test_only_packages_outside_lmlab_and_torch_count() -> None:
    settings = {
        "model": {"ffn": {"_target_": "lmlab.nn.ffn.GELU"}, "norm": {"_target_": "mine.a.Norm"}},
        "optim": {"_target_": "torch.optim.SGD", "inner": {"_target_": "other.Thing"}},
        "steps": 3,
    }
    assert user_packages(settings) == ["mine", "other"]
    assert user_code({"optim": {"_target_": "torch.optim.SGD"}}) == {}


def test_the_source_of_a_module_is_its_file(tmp_path: Path) -> None:
    file = tmp_path / "one_file_for_test.py"
    file.write_text("a = 1\n")
    first = source_of("one_file_for_test")
    file.write_text("a = 2\n")
    assert source_of("one_file_for_test") != first
    file.write_text("a = 1\n")
    assert source_of("one_file_for_test") == first


def test_the_source_of_a_package_is_all_its_code_and_no_data(tmp_path: Path) -> None:
    folder = tmp_path / "folder_for_test" / "inner"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("")
    (folder / "kernel.cu").write_text("x")
    first = source_of("folder_for_test")
    (folder / "notes.txt").write_text("data")
    assert source_of("folder_for_test") == first
    (folder / "kernel.cu").write_text("y")
    second = source_of("folder_for_test")
    assert second != first
    (folder / "kernel.cu").rename(folder / "renamed.cu")
    assert source_of("folder_for_test") not in (first, second)


def test_the_version_is_that_of_the_distribution() -> None:
    assert package_code("yaml")["version"], "the distribution has another name"
