"""The glossary has the terms that the report of a study uses, and no others."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lmlab.study.glossary import build_glossary
from lmlab.study.run_records import Study, load_study


def terms_of(study: Study, **changes: object) -> dict[str, str]:
    assert study.manifest is not None and study.manifest.comparison is not None
    design = dataclasses.replace(study.manifest.comparison, **changes)  # type: ignore[arg-type]
    manifest = dataclasses.replace(study.manifest, comparison=design)
    found = build_glossary(dataclasses.replace(study, manifest=manifest))
    return {term: meaning for term, meaning in found}


def test_the_glossary_has_the_terms_of_the_study(finished_study: Path) -> None:
    study = load_study(finished_study)
    terms = terms_of(study, margin=0.03)
    assert list(terms) == sorted(terms)
    assert "0.03 nats per token" in terms["margin"]
    assert {"adjusted p", "replicate", "noise floor", "stable and unstable lr"} <= set(terms)
    assert "stable and unstable lr" not in terms_of(study, lr="fixed")
    assert "replicate" not in terms_of(study, replicate=None)
    assert "noise floor" not in terms_of(study, num_seeds=1)
    assert not {"margin", "interval", "baseline"} & set(
        terms_of(study, baseline=None, replicate=None)
    )


def test_runs_without_a_comparison_have_no_glossary(finished_study: Path) -> None:
    study = load_study(finished_study)
    assert study.manifest is not None
    plain = dataclasses.replace(study.manifest, comparison=None)
    assert build_glossary(dataclasses.replace(study, manifest=plain)) == []
    assert build_glossary(dataclasses.replace(study, manifest=None)) == []
