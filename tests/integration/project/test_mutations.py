"""The places that ``tests/mutations.py`` breaks are still there, each once."""

from __future__ import annotations

import pytest

from tests.mutations import MUTATIONS, ROOT, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_its_place_is_found(mutation: Mutation) -> None:
    text = (ROOT / "src" / "lmlab" / mutation.file).read_text("utf-8")
    assert text.count(mutation.old) == 1
    assert mutation.new != mutation.old


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_its_tests_exist(mutation: Mutation) -> None:
    named = [word for word in mutation.tests.split() if word.startswith("tests/")]
    assert named and all((ROOT / word).exists() for word in named)
