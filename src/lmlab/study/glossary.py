"""The terms of a report, for readers who do not know lmlab."""

from __future__ import annotations

from lmlab.study.run_records import Study


def build_glossary(study: Study) -> list[list[str]]:
    """Return the terms that the report of a comparison uses, each with its meaning."""
    if study.manifest is None or study.manifest.comparison is None:
        return []
    design = study.manifest.comparison
    is_search = design.lr == "search"
    terms = {
        "arm": "One of the configurations that the study compares.",
        "judged": "A run that counts for the verdict on its arm."
        + (" Runs of the learning rate search do not; they use other seeds." if is_search else ""),
        "peak learning rate": "The highest learning rate of a run, at the end of its warm-up.",
    }
    if design.baseline is not None:
        terms |= {
            "baseline": "The arm that all others are compared with.",
            "adjusted p": "The p-value of the difference from the baseline, corrected for "
            f"comparing several arms (Holm's method). Up to {design.alpha:g}, the arm is better or "
            "worse, unless its whole interval is within the margin.",
        }
    if design.replicate is not None:
        terms["replicate"] = (
            "The baseline, trained again with other seeds. Its true difference is zero, so any "
            "other verdict than no difference or inconclusive casts doubt on the study."
        )
    if design.num_seeds > 1:
        terms["noise floor"] = (
            "The standard deviation of the baseline's final loss over seeds. Differences of this "
            "size occur by chance."
        )
    return [[term, terms[term]] for term in sorted(terms)]
