"""Items of tasks, made of the fields of JSON objects in the forms in which data sets keep them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lmlab.errors import suggestion

Record = Mapping[str, Any]
_BRACKETED = re.compile(r"\[.*?\]")
_ANSWERS = ("answer", "label", "gold", "answerKey")


class ItemError(Exception):
    """A record is no item; the reader of the file adds the line."""

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.message, self.help = message, help


@dataclasses.dataclass(frozen=True)
class Item:
    """Continuations of a context, of which one is right.

    Attributes:
        id: unique in the task.
        line: of the file, from 1.
        context: text before each continuation; empty for the start of a text.
        continuations: one per choice, with the delimiter before it. A cloze has the right one only.
        num_bytes: UTF-8 bytes of each choice, without the delimiter.
        answer: index of the right choice.
    """

    id: str
    line: int
    context: str
    continuations: tuple[str, ...]
    num_bytes: tuple[int, ...]
    answer: int


@dataclasses.dataclass(frozen=True)
class Document:
    """A text whose likelihood is measured as a whole.

    Attributes:
        id: unique in the task.
        line: of the file, from 1.
        text: not empty.
    """

    id: str
    line: int
    text: str


def kind_of(record: Record) -> str:
    """Tell the kind of the items of a file from the first one. Raises :class:`ItemError`."""
    fields = record.keys()
    if {"sentence_good", "sentence_bad"} <= fields or {"good", "bad"} <= fields:
        return "pairs"
    if "choices" in fields or "endings" in fields or isinstance(record.get("question"), dict):
        return "choice"
    if "target" in fields:
        return "cloze"
    if "text" in fields:
        raise ItemError(
            "text may be a cloze, whose last word is asked for, or a text to measure",
            "set kind: cloze or kind: text, as in {name: {file: items.jsonl, kind: cloze}}",
        )
    raise ItemError(
        f"expected the fields of a task, found {', '.join(fields) or 'none'}",
        "pairs: sentence_good, sentence_bad (or good, bad). Choices: context, choices, answer, or "
        "those of HellaSwag or ARC. Cloze: context, target, or text with kind: cloze. Texts: text "
        "with kind: text",
    )


def item_of(record: Record, kind: str, line: int, delimiter: str) -> Item | Document:
    """Return the item of a record.

    Args:
        record: a JSON object.
        kind: ``pairs``, ``choice``, ``cloze`` or ``text``.
        line: of the file, from 1; names the item if the record has no ``id``.
        delimiter: stands between context and continuation.

    Raises:
        ItemError: a field is missing or is not valid.
    """
    id = record.get("id", line)
    if isinstance(id, bool) or not isinstance(id, str | int):
        raise ItemError(f"id: expected a text or an integer, found {_kind(id)}")
    if kind == "text":
        return Document(str(id), line, _text(record, "text"))
    context, choices, answer = _READERS[kind](record)
    if kind == "cloze" and "target" not in record:
        delimiter = ""  # the text has its own
    return Item(
        id=str(id),
        line=line,
        context=context,
        continuations=tuple(delimiter + choice for choice in choices),
        num_bytes=tuple(len(choice.encode()) for choice in choices),
        answer=answer,
    )


Parts = tuple[str, Sequence[str], int]  # context, choices, index of the right one


def _pair(record: Record) -> Parts:
    names = ("sentence_good", "sentence_bad") if "sentence_good" in record else ("good", "bad")
    good, bad = (_text(record, name) for name in names)
    if good == bad:
        raise ItemError(f"{names[0]} and {names[1]}: expected two different texts")
    return _context(record), (good, bad), 0


def _cloze(record: Record) -> Parts:
    if "target" in record:
        return _context(record), (_text(record, "target"),), 0
    before, space, word = _text(record, "text").rpartition(" ")
    if not word:
        raise ItemError("text: expected a last word, found a space at the end")
    return before, (space + word if space else " " + word,), 0


def _choice(record: Record) -> Parts:
    """Read choices; HellaSwag and ARC have prompts of their own, as in lm-evaluation-harness."""
    if "endings" in record:
        return _hellaswag(record)
    question = record.get("question")
    source: Record = question if isinstance(question, dict) else record
    choices, labels = _labelled(source.get("choices"))
    if isinstance(question, dict):
        context = f"Question: {_text(question, 'stem')}\nAnswer:"
    elif "question" in record and "context" not in record:
        context = f"Question: {_text(record, 'question')}\nAnswer:"
    else:
        context = _context(record)
    return context, choices, _answer(record, choices, labels)


def _hellaswag(record: Record) -> Parts:
    endings, _ = _labelled(record["endings"], "endings")
    topic, before, begun = (_text(record, name, empty=name == "ctx_b") for name in (
        "activity_label", "ctx_a", "ctx_b"))  # fmt: skip
    context = _without_titles(f"{topic}: {before} {begun.capitalize()}")
    choices = [_without_titles(ending) for ending in endings]
    return context, choices, _answer(record, choices, None)


def _without_titles(text: str) -> str:
    """Remove the headings in brackets that WikiHow's articles leave in HellaSwag."""
    text = _BRACKETED.sub("", text.strip().replace(" [title]", ". "))
    return text.replace("  ", " ")


def _labelled(value: Any, name: str = "choices") -> tuple[list[str], list[str] | None]:
    """Return texts and labels of ``[text, ...]``, ``[{text, label}, ...]`` or ``{text, label}``."""
    labels = None
    if isinstance(value, dict):
        value, labels = value.get("text"), value.get("label")
    elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        labels = [one.get("label") for one in value]
        value = [one.get("text") for one in value]
    if not isinstance(value, list) or len(value) < 2:
        raise ItemError(f"{name}: expected a list of two or more texts, found {_kind(value)}")
    for text in value:
        if not isinstance(text, str) or not text:
            raise ItemError(f"{name}: expected texts that are not empty, found {_kind(text)}")
    if labels is None:
        return value, None
    if not isinstance(labels, list) or len(labels) != len(value) or len(set(labels)) < len(labels):
        raise ItemError(f"{name}: expected one label for each of {len(value)} texts, all different")
    return value, [str(label) for label in labels]


def _answer(record: Record, choices: Sequence[str], labels: Sequence[str] | None) -> int:
    """Return the index of the right choice, given as index, label, letter or text."""
    name = next((name for name in _ANSWERS if name in record), None)
    if name is None:
        raise ItemError("answer: missing", f"name the right choice in {' or '.join(_ANSWERS)}")
    value = record[name]
    if labels is not None and str(value) in labels:
        return labels.index(str(value))
    if isinstance(value, int) and not isinstance(value, bool) and labels is None:
        index = value
    elif isinstance(value, str) and value in choices:
        index = choices.index(value)
    elif isinstance(value, str) and labels is None and re.fullmatch(r"[A-Z]|\d+", value):
        index = int(value) if value.isdigit() else ord(value) - ord("A")
    else:
        index = -1
    if not 0 <= index < len(choices):
        allowed = ", ".join(labels) if labels else f"0 to {len(choices) - 1}, a letter"
        raise ItemError(f"{name}: expected {allowed} or the text of a choice, found {value!r}")
    return index


def _context(record: Record) -> str:
    return _text(record, "context", empty=True) if "context" in record else ""


def _text(record: Record, name: str, *, empty: bool = False) -> str:
    if name not in record:
        raise ItemError(f"{name}: missing", suggestion(name, record))
    text = record[name]
    if not isinstance(text, str) or not (text or empty):
        raise ItemError(f"{name}: expected a text{'' if empty else ' that is not empty'}, found "
                        f"{_kind(text)}")  # fmt: skip
    return text


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return "an empty text" if not value else "a text"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "an object" if isinstance(value, dict) else str(value).lower()


_READERS: Mapping[str, Callable[[Record], Parts]] = {
    "pairs": _pair,
    "choice": _choice,
    "cloze": _cloze,
}
