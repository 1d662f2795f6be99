"""The table of simulated ladders: coverage of intervals, verdicts, and what plans predict.

    python tests/support/ladder_table.py --save FILE

Every row is one kind of ladder. The columns are:

- ``gains, all rungs``: share of 90% intervals of gains that contain the truth, with the standard
  error of the mean over ladders, whose rungs are not independent;
- ``gains, each rung``: the same for each rung from the lowest, with the binomial standard error of
  one rung;
- ``coverage``: each rung by itself is compared with 90%, and so are all together, each in its own
  standard errors at 90%. ``ok`` is within three of them. More than 90% is allowed with three rungs
  or two seeds, and then printed, and so is how far a broken power law is off. The table makes about
  250 such comparisons, so that a row outside is simulated once more, with other ladders, and what
  they show stands behind ``again``;
- ``slope``, ``loss forecast``, ``gain forecast``: coverage of the slope of the trend, and of
  forecasts of the top rung from those below it;
- ``verdicts``: how often each word was given; ``false claims``: how often a null arm got a word
  other than "cannot tell" and "no difference", of which the level allows 0.1;
- ``planned``: how often a plan of the same ladder says that each word would be given, from
  :mod:`lmlab.study.ladders.ladder_power`, which has its own generator; ``plan - shown``: the
  largest difference of a word between both, in its standard errors.

With ``--save`` a table that is interrupted keeps its rows, and the same command goes on.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import math
import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from ladder_truths import BROKEN, Cell, selected_cells
from simulated_ladders import LEVEL, Score, planned_words, simulate

import lmlab.study.ladders

LIMIT = 3.0  # standard errors off the nominal coverage
NO_CLAIM = ("cannot tell", "no difference")
HEAD = (
    "gain", "rungs", "seeds", "E", "noise", "gains, all rungs", "gains, each rung", "coverage",
    "slope", "loss forecast", "gain forecast", "median interval, last rung", "verdicts",
    "false claims", "planned", "plan - shown",
)  # fmt: skip


def row_of(cell: Cell, score: Score, draws: int, again: Score | None = None) -> list[str]:
    """Return a row of the table; see the head of this module.

    Args:
        cell: the kind of ladder.
        score: what its ladders showed.
        draws: of the plan; 0 for none.
        again: what other ladders showed, if coverage was outside.
    """
    inside = np.array(score.gains, float)
    planned = planned_words(cell, draws) if draws else collections.Counter[str]()
    seeds = f"{cell.seeds}{'' if cell.paired else ', unpaired'}"
    by_rung = " ".join(f"{one:.3f}" for one in inside.mean(0))
    return [
        cell.gain, str(cell.rungs), seeds, cell.asymptote, cell.noise,
        share(inside.mean(1)), f"{by_rung} (± {_error(len(inside)):.3f} each)",
        judged(cell, inside) + (f"; again: {judged(cell, np.array(again.gains))}" if again else ""),
        share(score.slope), share(score.losses), share(score.gain),
        f"{np.median(score.widths):.3f}", words_of(score.words),
        _part(false_claims(score), len(inside)) if cell.gain == "none" else "-",
        words_of(planned), f"{disagreement(score.words, planned):+.1f}" if planned else "-",
    ]  # fmt: skip


def share(values: Any) -> str:
    """Return a mean with its standard error."""
    values = np.asarray(values, float)
    if not len(values):
        return "-"
    return f"{values.mean():.3f} ± {values.std() / math.sqrt(len(values)):.3f}"


def words_of(words: collections.Counter[str]) -> str:
    """Return the share of each word with its standard error, the most frequent first."""
    total = words.total()
    return ", ".join(f"{word} {_part(one, total)}" for word, one in words.most_common()) or "-"


def _part(count: int, total: int) -> str:
    return share(np.repeat([1.0, 0.0], [count, total - count]))


def _error(count: int) -> float:
    """Standard error of a share of 90% of a number of ladders."""
    return math.sqrt(LEVEL * (1 - LEVEL) / count)


def false_claims(score: Score) -> int:
    """Return how many ladders claim a difference; all of them are false for a null arm."""
    return score.words.total() - sum(score.words[word] for word in NO_CLAIM)


def judged(cell: Cell, inside: Any) -> str:
    """Say whether the coverage of gains is within the limit, at every rung and over all.

    Args:
        cell: the kind of ladder.
        inside: 1 where the interval contains the truth, 0 elsewhere, of shape (ladders, rungs).
    """
    inside = np.asarray(inside, float)
    count, excess = len(inside), inside.mean(0) - (1 - LEVEL)
    # The error of the share over all rungs at 90%, by the observed correlation of the rungs.
    spread = inside.mean(1).std() / max(inside.std(), 1e-9)
    off = excess / _error(count)
    pooled = inside.mean() - (1 - LEVEL)
    pooled_off = pooled / (_error(count) * max(spread, 1 / math.sqrt(inside.shape[1])))
    if cell.asymptote in BROKEN:
        rung = int(np.argmax(np.abs(excess)))
        return f"off by {pooled:+.3f}; rung {rung + 1}: {excess[rung]:+.3f}"
    if off.min() < -LIMIT or pooled_off < -LIMIT:
        return f"too low: {pooled:+.3f}; rung {int(np.argmin(excess)) + 1}: {excess.min():+.3f}"
    if off.max() <= LIMIT and pooled_off <= LIMIT:
        return "ok"
    wide = f"{pooled:+.3f}; rung {int(np.argmax(excess)) + 1}: {excess.max():+.3f}"
    may_exceed = cell.rungs == 3 or cell.seeds == 2
    return f"{'ok, wide' if may_exceed else 'too high'}: {wide}"


def disagreement(shown: collections.Counter[str], planned: collections.Counter[str]) -> float:
    """Return the largest difference of the share of a word, in its standard errors.

    Words that both together have fewer than ten times are compared as one.
    """
    rare = {word for word in shown | planned if shown[word] + planned[word] < 10}
    largest = 0.0
    for words in [rare, *({word} for word in (shown | planned) if word not in rare)]:
        one, other = sum(shown[word] for word in words), sum(planned[word] for word in words)
        total = (one + other) / (shown.total() + planned.total())
        error = math.sqrt(total * (1 - total) * (1 / shown.total() + 1 / planned.total()))
        gap = other / planned.total() - one / shown.total()
        if error and abs(gap / error) > abs(largest):
            largest = gap / error
    return largest


def table_of(rows: dict[int, list[str]]) -> str:
    """Return the rows of cells by index as a Markdown table."""
    lines = [f"| {' | '.join(row)} |" for row in (list(HEAD), *(rows[i] for i in sorted(rows)))]
    lines.insert(1, "|---" * len(HEAD) + "|")
    return "\n".join(lines)


class SavedRows:
    """Rows kept beside the table, for as long as they are those of the same code and settings.

    Args:
        path: the table; None to keep nothing.
        settings: what rows depend on beside the code.
    """

    def __init__(self, path: Path | None, settings: dict[str, Any]) -> None:
        self._path, self._key = path, {**settings, "code": _fingerprint()}
        self.rows: dict[int, list[str]] = {}
        if self._kept is not None and self._kept.is_file():
            content = json.loads(self._kept.read_text("utf-8"))
            if content["key"] == self._key:
                self.rows = {int(index): row for index, row in content["rows"].items()}

    @property
    def _kept(self) -> Path | None:
        return None if self._path is None else self._path.with_suffix(".rows.json")

    def add(self, index: int, row: list[str]) -> None:
        """Keep a row and write the table of those so far."""
        self.rows[index] = row
        if self._path is not None and self._kept is not None:
            self._kept.write_text(json.dumps({"key": self._key, "rows": self.rows}), "utf-8")
            self._path.write_text(table_of(self.rows) + "\n", "utf-8")


def _fingerprint() -> str:
    """Return a hash of the code that the rows rest on."""
    own = [Path(__file__).parent / f"{name}.py" for name in ("ladder_truths", "simulated_ladders")]
    statistics = sorted(Path(lmlab.study.ladders.__file__).parent.glob("*.py"))
    files = [Path(__file__), *own, *statistics]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _work(job: tuple[int, Cell, int, int, int]) -> tuple[int, list[str]]:
    index, cell, ladders, seed, draws = job
    score, again = simulate(cell, ladders, [seed, index]), None
    if judged(cell, np.array(score.gains)).startswith("too"):
        again = simulate(cell, ladders, [seed, index, 1])
    return index, row_of(cell, score, draws, again)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ladders", type=int, default=1000, help="simulated ladders per cell")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cells", help="indices of the cells to run, such as 0,4,8")
    parser.add_argument("--plan", type=int, default=400, help="draws of each plan; 0 for none")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--save", type=Path, help="file for the table")
    chosen = parser.parse_args()
    cells, start = dict(enumerate(selected_cells())), time.monotonic()
    if chosen.cells:
        cells = {index: cells[index] for index in map(int, chosen.cells.split(","))}
    settings = {"ladders": chosen.ladders, "seed": chosen.seed, "plan": chosen.plan}
    saved = SavedRows(chosen.save, settings)
    jobs = [
        (index, cell, chosen.ladders, chosen.seed, chosen.plan)
        for index, cell in cells.items()
        if index not in saved.rows
    ]
    with multiprocessing.Pool(chosen.processes) as pool:
        for number, (index, row) in enumerate(pool.imap_unordered(_work, jobs), start=1):
            saved.add(index, row)
            spent = (time.monotonic() - start) / 60
            print(f"{number} of {len(jobs)} rows, {spent:.1f} min", file=sys.stderr)
    print(table_of({index: saved.rows[index] for index in cells}))


if __name__ == "__main__":
    main()
