"""``python -m lmlab.generate run=<folder> prompt="One day"``: let a trained model write."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from pathlib import Path

from lmlab.errors import ConfigError, DataError, UserError, did_you_mean

HELP = """\
usage: python -m lmlab.generate run=FOLDER [key=value ...]

Writes text with the model of a run folder, streamed to the terminal.

  run=FOLDER           outputs/<study>/<arm>/seed<k>
  prompt="Once ..."    text to go on from; give it several times for several at once (default: none)
  count=1              texts a prompt
  max_new_tokens=200   length at which a text ends, if it does not end by itself
  temperature=0.8      0 always takes the likeliest token
  top_k=null           draw from the k likeliest tokens only
  top_p=null           draw from the likeliest tokens that hold this probability together
  seed=0               the same seed writes the same text
  checkpoint=best      best (lowest validation loss) or last
  device=auto          auto, cpu, mps, cuda, cuda:1 ...

example: python -m lmlab.generate run=outputs/runs/default/seed0 prompt="One day" temperature=0.5
"""


@dataclasses.dataclass(frozen=True)
class Options:
    """The settings of the command line; see :data:`HELP`."""

    run: str
    prompt: tuple[str, ...] = ()
    count: int = 1
    max_new_tokens: int = 200
    temperature: float = 0.8
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0
    checkpoint: str = "best"
    device: str = "auto"


def parse(argv: list[str]) -> Options:
    """Read ``key=value`` words. Raises :class:`ConfigError` naming the key and the fix."""
    fields = {field.name for field in dataclasses.fields(Options)}
    kinds = typing.get_type_hints(Options)
    values: dict[str, object] = {}
    prompts: list[str] = []
    for word in argv:
        key, equals, text = word.partition("=")
        if not equals or key not in fields:
            raise ConfigError(
                f'"{word}": accepted are key=value words with the keys {", ".join(sorted(fields))}'
                f"{did_you_mean(key, fields)}"
            )
        if key == "prompt":
            prompts.append(text)
        else:
            values[key] = _convert(key, text, kinds[key])
    if "run" not in values:
        raise ConfigError("run=FOLDER is missing: which run shall write? See --help")
    options = Options(**values, prompt=tuple(prompts) or ("",))  # type: ignore[arg-type]
    _check(options)
    return options


def _convert(key: str, text: str, kind: object) -> object:
    choices = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if type(None) in choices and text in ("null", "none", ""):
        return None
    for choice in choices:
        if choice is type(None):
            continue
        try:
            return choice(text)
        except ValueError:
            name = {int: "a whole number", float: "a number"}[choice]
            raise ConfigError(f"{key}={text}: {key} is {name}, for example {key}=1") from None
    raise AssertionError(key)


def _check(options: Options) -> None:
    ranges: list[tuple[str, bool, str]] = [
        ("count", options.count >= 1, "at least 1"),
        ("max_new_tokens", options.max_new_tokens >= 1, "at least 1"),
        ("temperature", 0 <= options.temperature < float("inf"), "0 or more"),
        ("top_k", options.top_k is None or options.top_k >= 1, "at least 1, or null"),
        ("top_p", options.top_p is None or 0 < options.top_p <= 1, "above 0, at most 1, or null"),
        ("checkpoint", options.checkpoint in ("best", "last"), "best or last"),
    ]
    for key, fine, accepted in ranges:
        if not fine:
            raise ConfigError(f"{key}={getattr(options, key)}: accepted is {accepted}")
    if not (Path(options.run) / "config.yaml").is_file():
        raise DataError(
            f"run={options.run}: there is no run in this folder (no config.yaml); "
            "python -m lmlab.outputs lists the runs"
        )


def write(options: Options) -> None:
    """Generate and print; several texts are printed whole, a single one as it is drawn."""
    # Torch takes a second to import: mistakes in the options are told before.
    from lmlab import assemble
    from lmlab.checkpoint import find_weights, load_weights, read_weights
    from lmlab.config.compose import load_frozen
    from lmlab.device import resolve_device
    from lmlab.run_folder import RunFolder
    from lmlab.sampling import StreamDecoder, generate
    from lmlab.tokenizer import Tokenizer

    run = RunFolder(Path(options.run))
    folder = find_weights(run.checkpoints, options.checkpoint)
    tokenizer = Tokenizer.load(run.tokenizer)
    device = resolve_device(
        device=options.device, precision="fp32", tf32=False, compile="false",
        threads="auto", deterministic=False,
    )  # fmt: skip
    device.apply()
    model = assemble.build_model(load_frozen(run.config))
    load_weights(model, read_weights(folder), folder)
    model.to(device.device).eval()

    start = [tokenizer.end_of_text_id] if tokenizer.end_of_text_id is not None else [0]
    prompts = [prompt for prompt in options.prompt for _ in range(options.count)]
    stream = StreamDecoder(tokenizer) if len(prompts) == 1 else None

    def show(index: int, token: int) -> None:
        if stream is not None and token != tokenizer.end_of_text_id:
            print(stream.add(token), end="", flush=True)

    if stream is not None:
        print(prompts[0], end="", flush=True)
    written = generate(
        model,
        [tokenizer.encode(prompt) or start for prompt in prompts],
        max_new_tokens=options.max_new_tokens,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        seed=options.seed,
        stop_id=tokenizer.end_of_text_id,
        on_token=show,
    )
    if stream is not None:
        print(stream.finish())
        return
    for number, (prompt, ids) in enumerate(zip(prompts, written, strict=True), start=1):
        print(f"--- {number} of {len(prompts)} ---\n{prompt}{tokenizer.decode(ids)}\n")


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    if not argv or any(word in ("-h", "--help") for word in argv):
        print(HELP, end="")
        return 0 if argv else 2
    try:
        write(parse(argv))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print()
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
