"""Demos: one question each, answered by tables, figures and texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONTENTS_FILE = "exhibit.json"  # lists the files of a written demo


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of a demo.

    Attributes:
        heading: the title.
        text: paragraphs.
        columns: column titles of the table; empty for no table.
        rows: rows of the table.
        blocks: pairs of title and preformatted text.
        figure: pair of file name without suffix and figure; None for no figure.
    """

    heading: str
    text: Sequence[str] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    blocks: Sequence[tuple[str, str]] = ()
    figure: tuple[str, Figure] | None = None


@dataclasses.dataclass(frozen=True)
class Demo:
    """The content of a demo.

    Attributes:
        title: the name of the study.
        question: the question it answers.
        sections: the answer.
        limits: what it does not show.
    """

    title: str
    question: str
    sections: Sequence[Section]
    limits: Sequence[str] = ()
