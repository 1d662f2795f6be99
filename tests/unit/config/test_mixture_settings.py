"""Mistakes in the sources and weights of a mixture are told with their keys, and what to do."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from lmlab.config.compose import compose, from_dict
from lmlab.config.identity_settings import identity_settings
from lmlab.config.mixture_settings import TARGET, check_mixture
from lmlab.errors import ConfigError

BOTH = [
    "data=mixture", "data.sources.books=books.txt", "data.sources.tales.data=toystories",
    "data.weights={books: 3, tales: 1}",
]  # fmt: skip


def test_a_source_is_a_file_or_an_option() -> None:
    data = compose([*BOTH, "data.sources.books.column=body", "data.sources.tales.seed=4"]).data
    books, tales = data.sources["books"], data.sources["tales"]
    assert books["_target_"] == "lmlab.data.sources.TextFiles"
    assert (books["train"], books["column"], books["valid_fraction"]) == ("books.txt", "body", 0.01)
    assert (tales["_target_"], tales["seed"]) == ("lmlab.data.sources.ToyStories", 4)
    assert data.weights == {"books": 3, "tales": 1} and data.valid_weights is None
    assert from_dict(compose(BOTH).as_dict()) == compose(BOTH)


def test_all_forms_of_a_source_are_one(tmp_path: Path) -> None:
    tokens = "data.sources.ids.data=tokens", "data.weights.ids=0.5"
    forms = [
        ["data.sources.books=[a.txt,'~/b.txt']", "data.sources.ids=x.bin"],
        ["data.sources.books.train=[a.txt,'~/b.txt']", "data.sources.ids.train=x.bin"],
        ["+data.sources.books={train: [a.txt, '~/b.txt']}", "data.sources.ids={train: x.bin}"],
    ]
    found = [compose(["data=mixture", *form, *tokens, "data.weights.books=1"]) for form in forms]
    assert found[0].data == found[1].data == found[2].data
    assert found[0].data.sources["books"]["train"] == ["a.txt", str(Path("~/b.txt").expanduser())]
    assert found[0].data.sources["ids"]["vocab_size"] == found[0].model.vocab_size


def test_the_weights_of_training_may_be_those_of_validation() -> None:
    data = compose([*BOTH, "data.weights.books=7", "data.valid_weights=${data.weights}"]).data
    assert data.valid_weights == {"books": 7, "tales": 1}


def test_the_identity_does_not_hold_paths_and_names() -> None:
    assert identity_settings(compose(BOTH)) == identity_settings(compose([]))


def mixture(**changes: Any) -> dict[str, Any]:
    """A node ``data`` with two sources."""
    sources = {name: {"_target_": f"lmlab.data.sources.{name}"} for name in ("books", "tales")}
    return {"_target_": TARGET, "sources": sources, "weights": {"books": 3, "tales": 1}, **changes}


def of(name: str, value: Any) -> dict[str, Any]:
    return {"books": 3, "tales": 1} | {name: value}


@pytest.mark.parametrize(
    ("changes", "message", "help"),
    [
        ({"sources": {}}, "data.sources: expected two sources or more, found none", "add one: "),
        ({"sources": {"a": {"_target_": "x"}}}, "two sources or more, found a", "data=text"),
        ({"sources": None}, "data.sources=null: expected sources by name", "data.sources.books="),
        ({"sources": {"a b": {}}}, "letters, digits, _ and -, found a b", "books"),
        ({"sources": {"a": 1}}, "data.sources.a=1: expected a file, or the settings of a source",
         "set data.sources.a=FILE, or data.sources.a.data=OPTION"),
        ({"sources": {"a": {"_target_": TARGET}}}, "data.sources.a: expected a source that is no",
         "name its sources here"),
        ({"weights": None}, "data.weights=null: expected a weight for each source",
         "set data.weights.books=1"),
        ({"weights": of("books", 0)}, "data.weights.books=0: expected a finite number above 0",
         "remove data.sources.books and data.weights.books"),
        ({"weights": of("books", -1)}, "data.weights.books=-1: expected a finite", "remove"),
        ({"weights": of("books", float("inf"))}, "books=inf: expected a finite", "remove"),
        ({"weights": of("books", float("nan"))}, "books=nan: expected a finite", "remove"),
        ({"weights": of("books", True)}, "data.weights.books=true: expected a fin", "remove"),
        ({"weights": of("books", "3")}, "data.weights.books=3: expected a finite", "remove"),
        ({"weights": of("boks", 1)}, "data.weights.boks=1: expected one of the sources books, "
         "tales", 'did you mean "data.weights.books"?'),
        ({"weights": of("zz9", 1)}, "data.weights.zz9=1: expected one of the sources",
         "add data.sources.zz9, or remove data.weights.zz9"),
        ({"weights": {"books": 1}}, "data.weights.tales: expected a weight for each source",
         "set data.weights.tales=1"),
        ({"valid_weights": {"books": 1}}, "data.valid_weights.tales: expected a weight",
         "set data.valid_weights.tales=1"),
    ],
)  # fmt: skip
def test_mistakes_in_names_and_weights(changes: dict[str, Any], message: str, help: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_mixture(mixture(**changes))
    assert message in refused.value.message
    assert help in str(refused.value.help)


@pytest.mark.parametrize(
    "data",
    [
        mixture(),
        mixture(valid_weights={"books": 0.25, "tales": 1e-9}),
        {"_target_": "mine.Source", "sources": 3, "weights": "all"},
    ],
)
def test_what_is_right_passes_as_it_is(data: dict[str, Any]) -> None:
    before = copy.deepcopy(data)
    check_mixture(data)
    assert data == before


@pytest.mark.parametrize(
    ("overrides", "message", "help"),
    [
        (["data.sources.tales.data=toys"], "data.sources.tales.data=toys: expected one of",
         'did you mean "toystories"?'),
        (["data.sources.tales.sed=3"], "data.sources.tales.sed=3: unknown parameter",
         'did you mean "data.sources.tales.seed"?'),
        (["data.sources.tales.seed=x"], "data.sources.tales.seed=x: expected an integer", ""),
        (["data.sources.a.column=x", "data.weights.a=1"],
         "data.sources.a.train: missing required setting", "set data.sources.a.train"),
        (["data.sources.tales._target_=lmlab.nn.norm.RMSNorm"], "meant for data", ""),
        (["data.sources.tales._target_=os.system"], "data.sources.tales._target_=os.system", ""),
        (["data.sources.tales.cache_dir=x"], "computed automatically", "remove"),
    ],
)  # fmt: skip
def test_mistakes_in_a_source(overrides: list[str], message: str, help: str) -> None:
    with pytest.raises(ConfigError) as refused:
        compose([*BOTH, *overrides])
    assert message in refused.value.message
    assert help in str(refused.value.help)


def test_weights_need_the_option() -> None:
    with pytest.raises(ConfigError, match="unknown parameter of lmlab") as no:
        compose(["data.weights.books=1"])
    assert "data=mixture" in str(no.value.help)
