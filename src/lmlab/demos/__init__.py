"""Studies that train no grid of models: a question, answered by tables, figures and texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONTENTS_FILE = "exhibit.json"  # lists the files of a written demo


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of an exhibit.

    Attributes:
        heading: its title.
        text: paragraphs.
        columns: titles of the table; empty for none.
        rows: of the table.
        blocks: (title, preformatted text) one after the other.
        figure: (file name without ending, figure); None for none.
    """

    heading: str
    text: Sequence[str] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    blocks: Sequence[tuple[str, str]] = ()
    figure: tuple[str, Figure] | None = None


@dataclasses.dataclass(frozen=True)
class Demo:
    """What such a study shows.

    Attributes:
        title: name of the study.
        question: what it asks.
        sections: the answer.
        limits: what it does not show.
    """

    title: str
    question: str
    sections: Sequence[Section]
    limits: Sequence[str] = ()
