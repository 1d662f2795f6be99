from __future__ import annotations

import os
from pathlib import Path

import pytest
from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from lmlab.runtime.inductor_cache import set_inductor_cache


@pytest.mark.parametrize("given", [None, "torch's own", "the user's"])
def test_inductor_keeps_its_kernels_in_the_cache_unless_the_user_says_where(
    given: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """torch._dynamo sets the variable when it is imported."""
    variable, folder = "TORCHINDUCTOR_CACHE_DIR", tmp_path / "mine"
    monkeypatch.delenv(variable, raising=False)
    if given is not None:
        monkeypatch.setenv(variable, default_cache_dir() if given[:5] == "torch" else str(folder))
    set_inductor_cache(tmp_path / "cache")
    expected = folder if given == "the user's" else tmp_path / "cache" / "inductor"
    assert os.environ[variable] == str(expected)
