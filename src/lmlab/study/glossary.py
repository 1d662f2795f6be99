"""The terms of a report, for readers who do not know lmlab."""

from __future__ import annotations

from lmlab.design.comparison import Comparison
from lmlab.study.reused_runs import margin_origin
from lmlab.study.run_records import Study


def build_glossary(study: Study) -> list[list[str]]:
    """Return the terms that the report of a comparison uses, each with its meaning."""
    if study.manifest is None or study.manifest.comparison is None:
        return []
    design, unit = study.manifest.comparison, study.manifest.unit
    is_search, is_single = design.lr == "search", len(design.judged_arms) == 1
    judged = (
        "counts for the verdict on its arm" if design.compared_arms else "measures the final loss"
    )
    terms = {
        "arm": "The configuration that the study examines."
        if is_single
        else "One of the configurations that the study compares.",
        "data and tokenizer": "In the table of costs, both are named by the first digits of their "
        "hash"
        + (
            "."
            if is_single
            else ": arms with equal digits have the same texts, or the same tokenizer."
        ),
        "judged": f"Said of a run that {judged}."
        + (" Runs of the learning rate search do not; they use other seeds." if is_search else ""),
        "peak lr": "The peak learning rate: the highest one of a run, at the end of its warm-up.",
    }
    if is_search:
        terms["stable and unstable lr"] = (
            "A peak learning rate is unstable if any run with it diverged, or failed to learn as "
            "the decision rule defines it. The edge is between the highest stable and the lowest "
            "unstable one."
        )
    if design.first_seeds > 1:
        terms["noise floor"] = (
            "The standard deviation of the baseline's final loss over seeds. Differences of this "
            "size occur by chance."
        )
        terms["sd"] = "Standard deviation over seeds."
    if design.baseline is not None:
        terms |= _verdict_terms(study, design, unit)
    return [[term, terms[term]] for term in sorted(terms)]


def _verdict_terms(study: Study, design: Comparison, unit: str) -> dict[str, str]:
    """Return the terms of a study with verdicts."""
    terms = {
        "baseline": "The arm that all others are compared with.",
        "difference": f"Final validation loss of the arm minus that of the baseline, in {unit}: "
        "negative is better.",
    }
    if design.first_seeds > 1:
        several = "arms" if len(design.metrics) < 2 else "arms by several metrics"
        correction = f", corrected for comparing several {several} (Holm's method)"
        terms |= {
            "adjusted p": "The p-value of the difference from the baseline"
            f"{correction if design.family > 1 else ''}. An arm is better or worse if it is "
            f"{design.alpha:g} or less, unless the whole interval is within the margin.",
            "interval": "The confidence interval of the difference: the values that the runs do "
            "not rule out at the stated confidence.",
            "margin": f"The largest difference that counts as none: {design.margin:g} {unit}, "
            f"{margin_origin(study)}.",
        }
    if design.replicate is not None:
        terms["replicate"] = (
            "The baseline, trained again with other seeds. Its true difference is zero, so any "
            "other verdict than no difference or inconclusive casts doubt on the study."
        )
    return terms
