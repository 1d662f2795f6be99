"""The coordinate check of parametrizations: activations against the width of the model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lmlab.build.run_data import RunData, prepare_data
from lmlab.build.run_spec import resolve
from lmlab.config.auto_width import auto_width
from lmlab.config.compose import from_dict
from lmlab.config.paths import conf_folder
from lmlab.config.run_config import RunConfig
from lmlab.config.user_settings import search_path
from lmlab.config.yaml_files import read_settings
from lmlab.console.formatting import format_count
from lmlab.demos import Demo, Section
from lmlab.demos.activation_sizes import KINDS, Sizes, measure_sizes
from lmlab.demos.activation_slopes import (
    CHANGE,
    END,
    GROWS,
    INFINITE,
    SHRINKS,
    START,
    STAYS,
    UNCLEAR,
    Measured,
    Slope,
    fit_slopes,
)  # fmt: skip
from lmlab.demos.coord_check_figure import draw_sizes
from lmlab.errors import Check, ConfigError, check_settings, suggestion


def coord_check(
    *,
    config: Any,
    params: list[str],
    widths: list[int],
    steps: int,
    batch_size: int,
    seeds: int,
    tolerance: float,
) -> Demo:
    """Measure activations of models of several widths: Yang et al. 2022, appendix D.1.

    Args:
        config: the configuration of the models; its width and heads give the width of a head.
        params: options of ``model.param``; the smallest width is their base shape.
        widths: ``model.d_model`` of the models.
        steps: updates before the second measurement.
        batch_size: sequences per update.
        seeds: models per width.
        tolerance: largest slope that counts as none.

    Raises:
        ConfigError: a setting gives no slope, or there is no such option.
    """
    check_demo_settings(config, widths, steps, batch_size, seeds)
    nodes = {name: option_node(config, name) for name in params}
    data = prepare_data(resolve(config).data)
    measured = {
        name: measure(config, node, data, widths, steps, batch_size, seeds)
        for name, node in nodes.items()
    }
    slopes = {name: fit_slopes(found) for name, found in measured.items()}
    text = [_statement(name, slopes[name], tolerance, steps) for name in params]
    return Demo(
        title="coord_check",
        question="Which activations grow or shrink with the width of the model?",
        sections=[
            Section("Answer", [*text, _EXPECTED]),
            Section("Slopes", [
                f"Exponent p of the width in the mean absolute activation, which is in proportion "
                f"to width^p, with its 90 % interval over {seeds} seeds. An activation grows or "
                f"shrinks if the interval is beyond {tolerance:g}, and stays if it is within. The "
                f"change is that of the activation of each token in {_updates(steps)}."],
                ["param", "activation", "at initialization", f"after {_updates(steps)}",
                 "change", "trend of the change"], _slope_rows(slopes, tolerance)),
            Section("Activations", [
                f"Mean absolute values, averaged over layers, tokens, features and seeds, at "
                f"initialization (dashed) and after {_updates(steps)} (solid), and their change "
                f"(dotted)."], ["param", "activation", *(f"width {width}" for width in widths)],
                _size_rows(measured), figure=("activations", draw_sizes(measured, steps))),
        ],
        limits=[
            f"{config.model.num_layers} layers, heads of width {_head_width(config)}, "
            f"{_updates(steps)} at {_rate(config)} without warm-up. Slopes after few updates show "
            "the largest effects only.",
            "A coordinate check can pass although one multiplier is wrong. What counts is that the "
            "best learning rate stays.",
        ],
    )  # fmt: skip


_EXPECTED = (
    "Activations should neither grow nor shrink. Logits at initialization are an exception: with "
    "mup and completep they shrink in proportion to 1 / sqrt(width), which an update makes up for."
)


def check_demo_settings(
    config: RunConfig, widths: Sequence[int], steps: int, batch_size: int, seeds: int
) -> None:
    """Raise :class:`ConfigError` where slopes cannot be fitted or heads do not divide a width."""
    head = _head_width(config)
    wrong = [width for width in widths if width < 1 or width % head]
    if wrong or len(set(widths)) < 2:
        raise ConfigError(
            f"demo.widths={list(widths)}: expected two or more multiples of the width of a head, "
            f"{head}",
            "change demo.widths, or model.d_model and model.num_heads",
        )
    most = config.training.batch_size
    check_settings((
        Check("demo.steps", steps, steps >= 1, "1 or more"),
        Check("demo.batch_size", batch_size, 1 <= batch_size <= most,
              f"1 to training.batch_size, {most}"),
        Check("demo.seeds", seeds, seeds >= 2, "2 or more, for an interval"),
    ))  # fmt: skip


def option_node(config: RunConfig, name: str) -> dict[str, Any]:
    """Return the node ``model.param`` of an option, with the settings of ``config`` if it has it.

    Raises:
        ConfigError: there is no such option.
    """
    files = {
        file.stem: file
        for folder in (conf_folder(), *search_path())
        for file in sorted((folder / "model" / "param").glob("*.yaml"))
    }
    if name not in files:
        expected = f"demo.params={name}: expected one of {', '.join(files)}"
        raise ConfigError(expected, suggestion(name, files))
    node = dict(read_settings(files[name]))
    chosen = config.model.param.as_dict()
    return chosen if chosen["_target_"] == node["_target_"] else node


def measure(
    config: RunConfig,
    param: Mapping[str, Any],
    data: RunData,
    widths: Sequence[int],
    steps: int,
    batch_size: int,
    seeds: int,
) -> Measured:
    """Measure one parametrization, whose base shape is that of the smallest width.

    Args:
        config: see :func:`coord_check`.
        param: a node ``model.param``.
        data: of the configuration.
        widths: see :func:`coord_check`.
        steps: see :func:`coord_check`.
        batch_size: see :func:`coord_check`.
        seeds: see :func:`coord_check`.
    """
    base = {"base_d_model": min(widths), "base_d_head": _head_width(config),
            "base_num_layers": config.model.num_layers}  # fmt: skip
    node = {**param, **{key: value for key, value in base.items() if key in param}}
    found: Measured = {}
    for width in widths:
        specs = (
            resolve(_at_width(config, node, width, min(widths), config.seed + number))
            for number in range(seeds)
        )
        found[width] = [measure_sizes(spec, data, steps, batch_size) for spec in specs]
    return found


def _at_width(
    config: RunConfig, param: Mapping[str, Any], width: int, smallest: int, seed: int
) -> RunConfig:
    content = config.as_dict()
    model = content["model"]
    if model["d_ff"] == "auto":
        hidden = auto_width(model["ffn"]["_target_"], smallest)
        d_ff = "auto" if hidden is None else hidden * width // smallest
    else:
        d_ff = model["d_ff"] * width // model["d_model"]
    heads = width // _head_width(config)
    content["model"] = model | {
        "d_model": width, "num_heads": heads, "d_ff": d_ff, "param": dict(param),
    }  # fmt: skip
    content["seeds"] = {"init": seed, "data": seed, "sampling": seed}
    return from_dict(content)


def _head_width(config: RunConfig) -> int:
    return config.model.d_model // config.model.num_heads


def _statement(
    name: str, slopes: Mapping[tuple[str, str], Slope], tolerance: float, steps: int
) -> str:
    """Say which activations grow and which shrink with the width."""
    words = {GROWS: "Growing with", SHRINKS: "Shrinking with", INFINITE: "Infinite at some",
             UNCLEAR: "Unclear against"}  # fmt: skip
    parts = []
    for which, when in ((START, "at initialization"), (CHANGE, f"in {_updates(steps)}")):
        trends = {kind: slopes[kind, which].trend(tolerance) for kind in KINDS}
        if all(trend == STAYS for trend in trends.values()):
            parts.append(f"Nothing grows or shrinks with the width {when}.")
        for trend, word in words.items():
            if kinds := [kind for kind in KINDS if trends[kind] == trend]:
                parts.append(f"{word} the width {when}: {', '.join(kinds)}.")
    return f"{name}. {' '.join(parts)}"


def _slope_rows(
    slopes: Mapping[str, Mapping[tuple[str, str], Slope]], tolerance: float
) -> list[list[str]]:
    return [
        [name, kind, *(_shown(of_name[kind, which]) for which in (START, END, CHANGE)),
         of_name[kind, CHANGE].trend(tolerance)]
        for name, of_name in slopes.items()
        for kind in KINDS
    ]  # fmt: skip


def _shown(slope: Slope) -> str:
    if math.isnan(slope.value):
        return INFINITE
    low, high = f"{slope.low:+.2f}", f"{slope.high:+.2f}"
    return f"{slope.value:+.2f} [{low}, {high}]".replace("+0.00", "0.00").replace("-0.00", "0.00")


def _size_rows(measured: Mapping[str, Measured]) -> list[list[str]]:
    return [
        [name, kind, *(_both(of_width, kind) for of_width in found.values())]
        for name, found in measured.items()
        for kind in KINDS
    ]


def _both(of_width: Sequence[dict[str, Sizes] | None], kind: str) -> str:
    known = [one[kind] for one in of_width if one is not None]
    if len(known) < len(of_width):
        return INFINITE
    start, end = (float(np.mean([getattr(one, which) for one in known])) for which in (START, END))
    return f"{start:.3g} → {end:.3g}"


def _updates(steps: int) -> str:
    return format_count(steps, "update")


def _rate(config: RunConfig) -> str:
    rate = config.optim.lr if "lr" in config.optim else None
    return "the default learning rate" if rate is None else f"a learning rate of {rate:g}"
