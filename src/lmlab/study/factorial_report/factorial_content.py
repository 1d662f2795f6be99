"""What the report of a factorial study says beside the parts that every report has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmlab.study.factorial_report.cell_rows import cell_rows, kept_sum, single_rows
from lmlab.study.factorial_report.effect_rows import effect_rows, interaction_panels
from lmlab.study.factorial_report.factorial_headline import factorial_headline
from lmlab.study.factorial_report.factorial_notes import (
    factorial_glossary,
    factorial_limits,
    factorial_rule,
    section_notes,
)
from lmlab.study.factorial_report.factorial_study import FactorialStudy
from lmlab.study.factorial_report.factorial_tables import factorial_sections
from lmlab.study.run_records import Study
from lmlab.study.statistics import level_name


def build_factorial(found: FactorialStudy) -> dict[str, Any]:
    """Return everything that the report says of a factorial study, as plain values.

    Returns:
        ``factors`` and ``design``; rows of ``effects``, ``cells`` and ``singles`` (one part at a
        time); ``panels`` of interactions; ``kept_sum``, ``lenth``, ``rate_model`` and
        ``rate_check``, each None where there is none; ``margin``; the ``headline``, and the
        ``sections`` of :mod:`lmlab.study.factorial_report.factorial_tables`.
    """
    noise, model, check = found.lenth, found.model, found.check
    content: dict[str, Any] = {
        "factors": list(found.design.names),
        "design": found.factorial.shown_design,
        "defining_relation": found.design.defining_relation(" x "),
        "margin": found.factorial.margin,
        "seeds": len(found.seeds),
        "effects": effect_rows(found),
        "cells": cell_rows(found),
        "singles": single_rows(found),
        "kept_sum": kept_sum(found),
        "panels": interaction_panels(found),
        "lenth": None if noise is None else {
            "error": noise.error, "margin": noise.margin, "simultaneous": noise.simultaneous,
        },
        "rate_model": None if model is None else {
            "constant": model.constant,
            "scatter": model.scatter,
            "factors": [
                {"factor": name, "ratio": ratio}
                for name, ratio in zip(found.design.names, model.factors, strict=True)
            ],
        },
        "rate_check": None if check is None else {
            "cell": check.cell,
            "regret": check.regret,
            "seeds": check.seeds,
            "rows": [
                {"rate": rate, "mean": mean, "is_predicted": rate == check.rate}
                for rate, mean in check.means.items()
            ],
        },
        "notes": section_notes(found),
    }  # fmt: skip
    content["headline"] = factorial_headline(found, content)
    content["sections"] = factorial_sections(content)
    return content


def factorial_parts(study: Study, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the report of a factorial study says in place of the parts of other studies.

    Args:
        study: a factorial study.
        content: the parts of a comparison of its cells.
    """
    found = FactorialStudy(study)
    factorial = build_factorial(found)
    return {
        "factorial": factorial,
        "sections": factorial["sections"],
        "headline": factorial["headline"],
        "verdicts": [],
        "verdict_notes": [],
        "confidence": level_name(1 - found.factorial.alpha),
        "noise": factorial_rule(found),
        "limits": [*content["limits"], *factorial_limits(found)],
        "glossary": factorial_glossary(found),
    }
