"""The published accounting: its command regenerates it, and its figures are the known ones."""

from __future__ import annotations

import re
from pathlib import Path

from lmlab.build.instantiate import instantiate
from lmlab.config.compose import compose
from lmlab.demos.write_demo import write_demo

KEPT = Path(__file__).parents[3] / "experiments" / "accounting" / "README.md"


def test_the_command_regenerates_the_write_up(tmp_path: Path) -> None:
    config = compose(["experiment=accounting"])
    demo = instantiate(config.demo, config=config)
    command = re.findall(r"^    (python -m .*)$", KEPT.read_text("utf-8"), flags=re.M)[-1]
    made = write_demo(demo, tmp_path, command)[0].read_text("utf-8")
    assert made == KEPT.read_text("utf-8")


def test_it_states_the_known_figures() -> None:
    text = KEPT.read_text("utf-8")
    for figure in (
        "190,460,160", "349,630,365,696", "505,629,696", "1,033,109,504,000", "1,072,469,760",
        "2,257,754,521,600", "2,127,057,600", "4,513,336,524,800", "149,522,795,724,800",
        "22,696,448", "9,533,652,992", "26.17 GB + 15.31 GB x B", "1,422 s per update",
        "6,583.6 days",
    ):  # fmt: skip
        assert figure in text, figure
