"""Random kills and stops of runs, stacks, sweeps and their drivers, on two simulated hosts.

    python tests/support/kill_schedule.py --events 200 --seed 1 --save table.md

Two hosts of one name, each a name space of process ids, work on the same output folder. At random
moments, a random process (driver, fork server or job) gets SIGKILL, SIGTERM, or SIGSTOP and later
SIGCONT, or a whole host is killed. Launches that end are repeated until all runs are done. Their
weights must then equal those of undisturbed runs bit for bit, and so must rows of metrics, status
and the names of all files. Locks expire sooner than usual, so that a stopped process loses its own.

The seed decides kinds and moments of events; which step they hit depends on the machine.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import random
import re
import shlex
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import warm
from simulated_hosts import STALE_SECONDS, Host, poll, refusal, send

NUM_STEPS = 150
ROUND_SECONDS = 400.0
SETTINGS = [
    "data=text", "model.vocab_size=280", "model.context_length=8", "model.d_model=8",
    "model.num_layers=1", "model.num_heads=1", f"training.steps={NUM_STEPS}",
    "training.batch_size=2", "training.log_every=5", "schedule.warmup_steps=2",
    "validation.every_steps=25", "validation.max_tokens=200", "checkpoint.every_steps=1",
    "samples.max_new_tokens=4", "runtime.device=cpu", "runtime.threads=1", "runtime.preflight=off",
    "logger=none",
]  # fmt: skip
LAUNCHER = ["hydra.launcher.jobs_per_device=2", "hydra.launcher.report=false"]
KINDS = {
    "run": ["runtime.policy=exact", "study=run", "arm=a"],
    "sweep": ["-m", "seed=0,1,2", "runtime.policy=exact", "study=sweep", *LAUNCHER],
    "stack": ["-m", "optim.lr=1e-3,2e-3,3e-3,4e-3", "hydra.launcher.stack=2",
              "runtime.policy=fast", "study=stack", *LAUNCHER],
}  # fmt: skip
# Python's own fork server, in a job whose driver was killed while it sent what the job has to do.
_UNSENT = (
    r"Traceback \(most recent call last\):\n(  .*\n)+ +preparation_data = reduction\.pickle\.load"
    r"\(from_parent\)\n[ ^]+\nEOFError: Ran out of input\n"
)
SIGNALS = {"kill": signal.SIGKILL, "terminate": signal.SIGTERM}
EVENTS = {"kill": 45, "terminate": 15, "stop briefly": 20, "stop past expiry": 15, "lose host": 5}
TARGETS = {"driver": 30, "job": 80, "fork server": 10, "orphan": 10}


@dataclasses.dataclass
class Launch:
    """The launches of one host in a round, one after the other."""

    host: Host
    process: warm.Process | None = None
    output: Path | None = None
    ended: float = 0.0
    number: int = 0
    is_done: bool = False


class Round:
    """All runs of one kind, from nothing to their ends."""

    def __init__(self, kind: str, root: Path, texts: list[str], hosts: list[Host]) -> None:
        self.kind, self.root = kind, root
        self.arguments = [f"output_root={root / 'outputs'}", *texts, *SETTINGS, *KINDS[kind]]
        self.launches = [Launch(host) for host in hosts]
        self.codes: collections.Counter[int] = collections.Counter()
        self.stopped: dict[int, float] = {}  # processes to continue, and when
        root.mkdir()

    @property
    def is_done(self) -> bool:
        return all(launch.is_done for launch in self.launches)

    def tend(self) -> None:
        """Continue processes whose time has come, and repeat launches that have ended."""
        for process in [one for one, until in self.stopped.items() if until < time.monotonic()]:
            del self.stopped[process]
            send(process, signal.SIGCONT)
        for launch in self.launches:
            if launch.process is not None and (code := poll(launch.process)) is not None:
                self.codes[code] += 1
                launch.process, launch.ended = None, time.monotonic()
                launch.is_done = code == 0
            is_rested = time.monotonic() - launch.ended > 1.0
            if launch.process is None and not launch.is_done and is_rested:
                launch.number += 1
                launch.output = self.root / f"{launch.host.name}-{launch.number}.txt"
                with open(launch.output, "wb") as output:
                    launch.process = launch.host.start(self.arguments, self.root, output)

    def disturb(self, chance: random.Random) -> str | None:
        """Play one random event; return what it was, None if there was no process for it."""
        (kind,) = chance.choices(list(EVENTS), list(EVENTS.values()))
        launch, seconds = chance.choice(self.launches), chance.uniform(0.1, 1)
        if kind == "lose host":
            if launch.process is None:
                return None
            launch.host.lose()
            return kind
        targets = {
            role: found for role, found in launch.host.roles(launch.process).items() if found
        }
        if not targets:
            return None
        (role,) = chance.choices(list(targets), [TARGETS[role] for role in targets])
        target = chance.choice(targets[role])
        if kind in SIGNALS:
            send(target, SIGNALS[kind])
        else:
            send(target, signal.SIGSTOP)
            more = STALE_SECONDS + 1 if kind == "stop past expiry" else 0
            self.stopped[target] = time.monotonic() + seconds + more
        return f"{kind}: {role}"

    def finish(self) -> None:
        for process in self.stopped:
            send(process, signal.SIGCONT)
        self.stopped.clear()

    def problems(self, reference: dict[str, dict[str, Any]]) -> list[str]:
        """Compare what the runs left with what undisturbed runs left."""
        found = [] if (ours := results(self.root / "outputs" / self.kind)) else ["no runs"]
        for name, expected in reference.items():
            for what, value in expected.items():
                if ours.get(name, {}).get(what) != value:
                    found.append(f"{name}: {what} differs")
                    if what in ("files", "status", "stacked"):
                        found.append(f"  {sorted_difference(ours.get(name, {}).get(what), value)}")
        found += [f"more runs: {name}" for name in set(ours) - set(reference)]
        hidden = [path for path in (self.root / "outputs" / self.kind).rglob(".*")]
        found += [f"left behind: {path}" for path in hidden]
        for path in sorted(self.root.glob("*.txt")):
            text = re.sub(_UNSENT, "", path.read_text(errors="replace"))
            if "Traceback" in text:
                found.append(f"a traceback in {path}: {text[text.index('Traceback') :][-800:]}")
        deadline = time.monotonic() + 30
        while (left := self._left()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found + [f"still running on {name}: {number}" for name, number in left.items()]

    def _left(self) -> dict[str, int]:
        number = {one.host.name: len(one.host.processes()) - 1 for one in self.launches}
        return {name: count for name, count in number.items() if count > 0}


def sorted_difference(ours: Any, theirs: Any) -> str:
    if isinstance(ours, set) and isinstance(theirs, set):
        return f"only here: {sorted(ours - theirs)}; only undisturbed: {sorted(theirs - ours)}"
    return f"{ours}, undisturbed {theirs}"


def results(study: Path) -> dict[str, dict[str, Any]]:
    """Return what must not depend on disturbances, by run."""
    found = {}
    for path in sorted(study.glob("*/seed*")):
        files = [one for one in path.rglob("*") if one.is_file()]
        rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
        drop = ("seconds", "tokens_per_second", "mfu")
        sessions = json.loads((path / "meta.json").read_text())["sessions"]
        status = json.loads((path / "status.json").read_text())
        found[f"{path.parent.name}/{path.name}"] = {
            "status": {key: status[key] for key in ("status", "step", "steps", "tokens")},
            "rows": [{key: v for key, v in row.items() if key not in drop} for row in rows],
            "weights": {one.relative_to(path): one.read_bytes() for one in files
                        if one.name == "model.safetensors"},
            "samples": (path / "samples.md").read_text(),
            "files": {str(one.relative_to(path)) for one in files},
            "stacked": {session["stacked"] for session in sessions},
        }  # fmt: skip
    return found


def write_texts(folder: Path) -> list[str]:
    chance = random.Random(0)
    words = ["".join(chance.choices("abcdefghij", k=chance.randint(2, 6))) for _ in range(200)]
    for name, number in (("train", 6000), ("valid", 500)):
        (folder / f"{name}.txt").write_text(" ".join(chance.choices(words, k=number)))
    return [f"data.{name}={folder / name}.txt" for name in ("train", "valid")]


def follow(one: Round, chance: random.Random | None, num_events: int) -> list[str]:
    """Bring a round to its end, with up to ``num_events`` events; return them."""
    events: list[str] = []
    started = time.monotonic()
    due = started + (chance.uniform(1, 4) if chance else 0)
    while not one.is_done and time.monotonic() - started < ROUND_SECONDS:
        one.tend()
        if chance is not None and time.monotonic() > due and len(events) < num_events:
            due = time.monotonic() + chance.uniform(0.5, 4)
            if (event := one.disturb(chance)) is not None:
                events.append(event)
        time.sleep(0.02)
    one.finish()
    return events


def play(num_events: int, seed: int, root: Path, say: Any = print) -> list[str]:
    """Play the schedule; return the problems that it found.

    Args:
        num_events: number of events.
        seed: of all random choices.
        root: an empty folder; rounds with problems stay there.
        say: prints a line.
    """
    chance, texts = random.Random(seed), write_texts(root)
    hosts = [Host("A"), Host("B")]
    kinds, problems = collections.Counter[str](), []
    codes: collections.Counter[int] = collections.Counter()
    started, number, played = time.monotonic(), 0, 0
    try:
        references = {}
        for kind in KINDS:
            calm = Round(kind, root / f"undisturbed-{kind}", texts, hosts[:1])
            follow(calm, None, 0)
            references[kind] = results(calm.root / "outputs" / kind)
            assert references[kind] and not calm.problems(references[kind]), calm.root
        say("| round | kind | events | launches | sessions | seconds | equal |")
        say("|---|---|---|---|---|---|---|")
        while played < num_events:
            number, began = number + 1, time.monotonic()
            kind = list(KINDS)[number % len(KINDS)]
            one = Round(kind, root / f"{number}-{kind}", texts, hosts)
            events = follow(one, chance, num_events - played)
            found = one.problems(references[kind]) if one.is_done else [
                f"not done after {ROUND_SECONDS:.0f} s; see {one.root}"]  # fmt: skip
            metas = (one.root / "outputs" / kind).glob("*/seed*/meta.json")
            sessions = sum(len(json.loads(path.read_text())["sessions"]) for path in metas)
            say(
                f"| {number} | {kind} | {len(events)} | {sum(one.codes.values())} | {sessions} "
                f"| {time.monotonic() - began:.0f} | {'yes' if not found else 'NO'} |"
            )
            problems += [f"round {number}, {kind}: {line}" for line in found]
            kinds.update(events)
            codes.update(one.codes)
            played += len(events)
            if not found:
                shutil.rmtree(one.root)
            elif not one.is_done:
                for host in hosts:
                    host.lose()
    finally:
        for host in hosts:
            host.stop()
    say("\n| event | number |\n|---|---|")
    for event, count in sorted(kinds.items()):
        say(f"| {event} | {count} |")
    ended = ", ".join(f"{count} with {code}" for code, count in sorted(codes.items()))
    say(f"\nLaunches ended: {ended} (negative: by a signal; 75: locked or taken over).")
    say(f"{played} events in {time.monotonic() - started:.0f} s, seed {seed}: "
        f"{len(problems)} problems.")  # fmt: skip
    for line in problems:
        say(line)
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="file for the tables")
    options = parser.parse_args()
    reason = refusal()
    if reason is not None:
        print(f"skipped: {reason}")
        return 77  # as test programs say that they were skipped
    lines = [f"# python tests/support/kill_schedule.py {shlex.join(sys.argv[1:])}",
             "", time.strftime("%Y-%m-%d"), ""]  # fmt: skip

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    root = Path(tempfile.mkdtemp(prefix="kill-schedule-"))
    problems = play(options.events, options.seed, root, say)
    if options.save is not None:
        options.save.write_text("\n".join(lines) + "\n")
    if problems:
        print(f"kept: {root}")
        return 1
    shutil.rmtree(root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
