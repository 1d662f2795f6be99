"""The pairs of ``experiment=task_verdicts``: what they ask, and that the file is theirs."""

from __future__ import annotations

import itertools
import math

from lmlab.config.paths import conf_folder
from lmlab.config.task_settings import parse_tasks
from lmlab.data.prefix_probability import Prefix
from lmlab.data.stories import DOCUMENT
from lmlab.storage.json_text import parse_json
from lmlab.tasks.task_file import TaskFile
from lmlab_studies.story_pairs import pairs

SHIPPED = conf_folder() / "experiment" / "story_order.jsonl"


def test_the_grammar_knows_which_sentence_is_right() -> None:
    for item in itertools.islice(pairs(20, seed=1), 20):
        start = Prefix.empty(DOCUMENT).extend(item["context"])
        assert start.log_prob_of(f" {item['good']}") > -math.inf
        assert start.log_prob_of(f" {item['bad']}") == -math.inf
        assert item["good"] != item["bad"]


def test_the_shipped_file_is_what_the_command_writes() -> None:
    lines = SHIPPED.read_text("utf-8").splitlines()
    assert len(lines) == 300 and len(set(lines)) == 300
    first = list(itertools.islice(pairs(300, seed=0), 12))
    assert [parse_json(line.encode()) for line in lines[:12]] == first


def test_it_is_found_from_any_folder() -> None:
    (entry,) = parse_tasks({"order": "conf/experiment/story_order.jsonl"})
    assert entry.path.is_file()
    kind, items = TaskFile(entry).read()
    assert kind == "pairs" and len(items) == 300
    (other,) = parse_tasks({"order": "conf/experiment/no_such.jsonl"})
    assert str(other.path) == "conf/experiment/no_such.jsonl", "named as it was given"
