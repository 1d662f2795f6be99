"""Names of metrics: what they mean, and which are refused before anything is prepared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from designs import a_design

from lmlab.design.comparison import Comparison
from lmlab.design.metrics import Metric, check_metrics, check_probe_names, further_metrics
from lmlab.errors import ConfigError

PAIRS = '{"good": "The dog saw it.", "bad": "The dog it saw."}\n'
CLOZE = '{"context": "The dog", "target": "barks"}\n'


def a_config(tasks: Any = None, probes: int = 8) -> dict[str, Any]:
    return {"validation": {"tasks": tasks, "probes": probes}}


@pytest.fixture
def tasks(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "pairs.jsonl").write_text(PAIRS)
    (tmp_path / "cloze.jsonl").write_text(CLOZE)
    (tmp_path / "a.txt").write_text("A text.")
    return {
        "blimp": str(tmp_path / "pairs.jsonl"),
        "blimp.agreement": str(tmp_path / "pairs.jsonl"),
        "last": str(tmp_path / "cloze.jsonl"),
        "wiki": {"text": str(tmp_path / "a.txt")},
    }


def check(metrics: list[str], config: dict[str, Any], **changes: Any) -> None:
    design = a_design(metrics=metrics, **changes)
    check_metrics(design, {"a": config, "b": config})


def found(name: str, tasks: Any) -> Metric:
    (metric,) = further_metrics(a_design(metrics=["loss", name]), a_config(tasks))
    return metric


@pytest.mark.parametrize(
    ("name", "task", "score", "is_probe"),
    [
        ("blimp", "blimp", "accuracy", False),
        ("blimp.margin", "blimp", "margin", False),
        ("blimp.agreement", "blimp.agreement", "accuracy", False),
        ("blimp.agreement.margin", "blimp.agreement", "margin", False),
        ("last.perplexity", "last", "perplexity", False),
        ("wiki", "wiki", "bits_per_byte", False),
        ("probes.plots", "plots", "accuracy", True),
        ("probes.plots.kl", "plots", "kl", True),
    ],
)
def test_names(name: str, task: str, score: str, is_probe: bool, tasks: dict[str, Any]) -> None:
    check(["loss", name], a_config(tasks))
    metric = found(name, tasks)
    assert (metric.task, metric.score, metric.is_probe) == (task, score, is_probe)
    assert metric.name == name and metric.unit


def test_senses_and_items(tasks: dict[str, Any]) -> None:
    names = ["blimp", "blimp.margin", "last.perplexity", "wiki", "probes.plots.kl", "probes.plots"]
    metrics = [found(name, tasks) for name in names]
    assert [one.is_higher_better for one in metrics] == [True, True, False, False, False, True]
    assert [one.is_of_items for one in metrics] == [True, True, False, False, True, True]
    assert [one.is_share for one in metrics] == [True, False, False, False, False, True]
    assert [one.is_of_tokens for one in metrics] == [False] * 4 + [True] * 2
    assert [one.items_name for one in metrics[-2:]] == ["probes/plots", "probes/plots"]
    assert metrics[0].title == "blimp (accuracy)" and metrics[1].title == "blimp.margin"


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (["loss", "blimpp"], 'blimpp: expected loss, a task .*blimp.*help: did you mean "blimp"'),
        (["loss", "blimp.margn"], 'unknown score margn, expected .*help: did you mean "margin"'),
        (["loss", "last.margin"], "unknown score margin, expected one of accuracy, log_likelihood"),
        (["loss", "wiki.accuracy"], "unknown score accuracy, expected one of bits_per_byte, loss"),
        (["loss", "probes.plots.kll"], 'unknown score kll.*help: did you mean "kl"'),
        (["loss", "bits_per_byte"], "bits_per_byte: expected loss, a task"),
        (["blimp"], r"design.metrics=\[blimp\]: expected loss among them.*\[loss, blimp\]"),
        (["loss", "blimp", "blimp"], "expected each metric once"),
    ],
)
def test_unknown_names(metrics: list[str], message: str, tasks: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        check(metrics, a_config(tasks))
    assert re.search(message, f"{caught.value} help: {caught.value.help}", re.DOTALL)


def test_arms_are_compared_on_the_same_items(tasks: dict[str, Any]) -> None:
    design = a_design(metrics=["loss", "blimp"])
    other = a_config(tasks | {"blimp": tasks["last"]})
    with pytest.raises(ConfigError, match=r"design.arms.b: expected the tasks of a"):
        check_metrics(design, {"a": a_config(tasks), "b": other})
    design = a_design(metrics=["loss", "probes.plots"])
    check_metrics(design, {"a": a_config(tasks), "b": other})
    for probes, what in ((0, "validation.probes=0"), (9, "validation.probes differs")):
        with pytest.raises(ConfigError, match=what):
            check_metrics(design, {"a": a_config(), "b": a_config(probes=probes)})


def test_probes_are_those_of_the_text() -> None:
    design = a_design(metrics=["loss", "probes.plot.kl"])
    with pytest.raises(ConfigError, match="unknown probe plot, expected names_near, plots"):
        check_probe_names(design, a_config(), ["names_near", "plots"])
    with pytest.raises(ConfigError, match="this text has none"):
        check_probe_names(design, a_config(), [])
    check_probe_names(a_design(metrics=["loss", "probes.plots"]), a_config(), ["plots"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"items": "some"}, "design.items=some: expected random or fixed"),
        ({"margins": {"x": 0.1}}, "design.margins.x: expected one of design.metrics other than"),
        ({"margins": {"loss": 0.1}}, "design.margins.loss: expected one of design.metrics"),
        ({"margins": {"blimp": {"margin": 1}}}, "expected 0 or more, a number by the name"),
        ({"expected_sds": {"blimp": 0}}, "design.expected_sds.blimp=0: expected above 0"),
        ({"baseline": None}, "design.metrics: expected none without design.baseline"),
    ],
)
def test_settings_of_metrics(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        a_design(**({"metrics": ["loss", "blimp"]} | changes))


def test_a_study_without_metrics_is_the_one_of_before() -> None:
    plain = a_design()
    assert not plain.as_dict().keys() & {"metrics", "items", "margins", "expected_sds"}
    assert further_metrics(plain, {}) == [] and plain.family == plain.num_tested == 1
    changed = a_design(metrics=["loss", "blimp"], items="fixed", margins={"blimp": 0.1})
    assert Comparison(**changed.as_dict()) == changed
    assert (changed.family, changed.num_tested) == (2, 1)
