"""Gradient descent on a quadratic follows the closed form."""

from __future__ import annotations

import pytest

from lmlab_studies import sgd_lr


def test_measured_losses_follow_the_closed_form() -> None:
    for lr in (10.0, 100.0, 1000.0):
        measured = sgd_lr.measure(lr, steps=10, seed=0)
        predicted = sgd_lr.predict(measured[0], lr, steps=10)
        for found, expected in zip(measured, predicted, strict=True):
            assert found == pytest.approx(expected, rel=1e-5, abs=1e-12)
    assert sgd_lr.measure(1000.0, 10, 0)[-1] > 1e10, "diverges"
    assert sgd_lr.measure(100.0, 10, 0)[1] == pytest.approx(sgd_lr.measure(100.0, 10, 0)[0]), (
        "flips signs"
    )
