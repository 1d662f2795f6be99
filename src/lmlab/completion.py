"""``python -m lmlab.completion bash``: the shell completes commands, groups, options, keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from lmlab.config.paths import conf_folder
from lmlab.config.reference import groups, rows_of
from lmlab.config.user_settings import search_path
from lmlab.console.command_line import run_main
from lmlab.errors import UserError

HELP = """\
usage: python -m lmlab.completion bash | zsh

Prints a script that lets the tab key complete lmlab's commands and settings. For this shell alone:

  eval "$(python -m lmlab.completion bash)"

For every new one, write the line to ~/.bashrc (or, with zsh in place of bash, to ~/.zshrc).
"""

# Candidates are whole words; where the shell has cut the word at "=", only the rest is wanted.
_SCRIPT = """\
_lmlab_complete() {
    local line="${COMP_LINE:0:$COMP_POINT}"
    COMPREPLY=()
    case "$line" in *" -m "*) ;; *) return ;; esac
    local word="${line##* }" candidate
    while IFS= read -r candidate; do
        case "$word" in *=*) case "$COMP_WORDBREAKS" in *=*) candidate="${candidate#*=}" ;; esac ;; esac
        COMPREPLY+=("$candidate")
    done < <("${COMP_WORDS[0]}" -m lmlab.completion words "$line" 2>/dev/null)
}
complete -o nospace -o default -F _lmlab_complete python python3
"""  # noqa: E501 -- shell


def candidates(line: str) -> list[str]:
    """What may stand in place of the last word of ``line``, up to the cursor; none for files."""
    *before, word = line.split(" ")
    head = next((b.removeprefix("lmlab.") for b in before if b.startswith("lmlab.")), None)
    if head is None:
        return [name for name in _heads() if name.startswith(word) and before[-1:] == ["-m"]]
    if head == "train":
        return sorted(name for name in _settings(word) if name.startswith(word))
    return sorted(
        f"{key}=" for key in _keys(head) if f"{key}=".startswith(word) and "=" not in word
    )


def _heads() -> list[str]:
    here = Path(__file__).parent
    found = [path for path in here.glob("*.py") if "__main__" in path.read_text("utf-8")]
    names = [path.stem for path in found] + [p.parent.name for p in here.glob("*/__main__.py")]
    return sorted(f"lmlab.{name} " for name in names if not name.startswith("_"))


def _settings(word: str) -> Iterator[str]:
    """Groups and keys; the options of a group where its name is typed already."""
    key, equals, _ = word.partition("=")
    folders = [conf_folder(), *search_path()]
    for group in groups():
        dotted = group.replace("/", ".")
        if not equals:
            yield f"{dotted}="
        elif key in (dotted, group):
            for folder in folders:
                yield from (f"{key}={path.stem} " for path in (folder / group).glob("*.yaml"))
    if equals:
        return
    for name, _, _ in rows_of(conf_folder() / "train.yaml"):
        yield f"{name}="
    for path in conf_folder().rglob("*.yaml"):
        group = str(path.parent.relative_to(conf_folder())).replace("/", ".")
        if path.parent != conf_folder() and not group.startswith(("experiment", "scale")):
            whole = path.read_text("utf-8").startswith("# @package _global_")
            yield from (f"{name if whole else f'{group}.{name}'}=" for name, _, _ in rows_of(path))


def _keys(head: str) -> list[str]:
    """The keys of the commands that take ``key=value`` words."""
    if head == "generate":
        from lmlab.generate import Options as Known
    elif head == "evaluate":
        from lmlab.evaluate import Options as Known  # type: ignore[assignment]
    elif head == "export":
        from lmlab.export.__main__ import Options as Known  # type: ignore[assignment]
    else:
        return []
    return [field.name for field in dataclasses.fields(Known)]


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    if argv[:1] == ["words"] and len(argv) == 2:
        try:
            print("\n".join(dict.fromkeys(candidates(argv[1]))))
        except UserError:  # a mistake in the user's settings is told by the command itself
            return 2
        return 0
    if argv in (["bash"], ["zsh"]):
        zsh = "autoload -U +X bashcompinit && bashcompinit\n" if argv == ["zsh"] else ""
        print(zsh + _SCRIPT, end="")
        return 0
    print(HELP, end="")
    return 0 if argv in (["-h"], ["--help"]) else 2


if __name__ == "__main__":
    run_main(main)
