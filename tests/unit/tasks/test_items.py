from __future__ import annotations

from typing import Any

import pytest

from lmlab.tasks.items import Document, Item, ItemError, item_of, kind_of


def read(record: dict[str, Any], kind: str | None = None, delimiter: str = " ") -> Any:
    return item_of(record, kind or kind_of(record), 7, delimiter)


def test_pairs() -> None:
    item = Item("7", 7, "", (" Né.", " No."), (4, 3), 0)
    assert read({"sentence_good": "Né.", "sentence_bad": "No.", "UID": "x"}) == item
    with_context = read({"good": "a", "bad": "b", "context": "So"}, delimiter="")
    assert with_context == Item("7", 7, "So", ("a", "b"), (1, 1), 0)


CHOICES = ["red", "green", "blue"]


@pytest.mark.parametrize(
    ("answer", "index"), [(2, 2), ("C", 2), ("2", 2), ("blue", 2), (0, 0), ("A", 0)]
)
def test_the_answer_is_an_index_a_letter_or_the_text_of_a_choice(answer: Any, index: int) -> None:
    for name in ("answer", "label", "gold", "answerKey"):
        item = read({"context": "It is", "choices": CHOICES, name: answer})
        assert (item.context, item.answer) == ("It is", index)
        assert item.continuations == (" red", " green", " blue")


def test_the_text_of_a_choice_comes_before_its_number() -> None:
    assert read({"context": "1 +", "choices": ["2", "1", "0"], "answer": "1"}).answer == 1


def test_arc_in_both_of_its_forms() -> None:
    flat = {
        "id": "M_1", "question": "Why?", "answerKey": "3",
        "choices": {"text": CHOICES, "label": ["1", "2", "3"]},
    }  # fmt: skip
    nested = {
        "id": "M_1", "answerKey": "C",
        "question": {
            "stem": "Why?",
            "choices": [{"text": t, "label": n} for t, n in zip(CHOICES, "ABC", strict=True)],
        },
    }  # fmt: skip
    for record in (flat, nested):
        item = read(record)
        assert (item.id, item.context, item.answer) == ("M_1", "Question: Why?\nAnswer:", 2)


def test_hellaswag_loses_its_headings() -> None:
    item = read(
        {
            "activity_label": "Baking", "ctx_a": "[header] How to bake [title] Mix.",
            "ctx_b": "the Dough", "label": "1", "ind": 4,
            "endings": ["is [substeps] left.", "rises  up."],
        }
    )  # fmt: skip
    assert item.context == "Baking: How to bake. Mix. The dough"
    assert item.continuations == (" is left.", " rises up.")
    assert (item.num_bytes, item.answer) == ((8, 9), 1)


def test_cloze() -> None:
    expected = Item("7", 7, "the dog saw the", (" cat",), (4,), 0)
    assert read({"text": "the dog saw the cat"}, "cloze") == expected
    assert read({"text": "the dog saw the cat"}, "cloze", delimiter="") == expected
    item = read({"context": "the dog saw the", "target": "cat"})
    assert (item.context, item.continuations) == ("the dog saw the", (" cat",))
    assert read({"text": "cat"}, "cloze").continuations == (" cat",)


def test_documents() -> None:
    assert read({"text": "a b", "id": 3}, "text") == Document("3", 7, "a b")


@pytest.mark.parametrize(
    ("record", "kind", "message"),
    [
        ({"a": 1}, None, "expected the fields of a task, found a"),
        ({"good": "a", "bad": "a"}, None, "good and bad: expected two different texts"),
        ({"good": "", "bad": "a"}, None, "good: expected a text that is not empty"),
        ({"good": 5, "bad": "a"}, None, "good: expected a text that is not empty, found 5"),
        ({"choices": ["a"], "answer": 0}, None, "two or more texts, found a list of 1"),
        ({"choices": ["a", ""], "answer": 0}, None, "texts that are not empty"),
        ({"choices": ["a", "b"]}, None, "answer: missing"),
        ({"choices": ["a", "b"], "answer": 2}, None, r"answer: expected 0 to 1, .* found 2"),
        ({"choices": ["a", "b"], "answer": -1}, None, "found -1"),
        ({"choices": ["a", "b"], "answer": True}, None, "found True"),
        ({"choices": {"text": ["a", "b"], "label": ["A", "A"]}, "answer": "A"}, None, "different"),
        ({"choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answer": 0}, None, "A, B or"),
        ({"text": "ends "}, "cloze", "text: expected a last word"),
        ({"target": "a", "context": None}, None, "context: expected a text, found null"),
        ({"text": ""}, "text", "text: expected a text that is not empty"),
    ],
)
def test_records_that_are_no_items(record: Any, kind: str | None, message: str) -> None:
    with pytest.raises(ItemError, match=message):
        read(record, kind)
