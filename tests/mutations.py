"""Break the code on purpose, one place at a time, and see which test notices.

python tests/mutations.py [part of a name ...]

Each mutation is made in a copy of the tree; the tests named beside it run there. The exit code is 1
if one went unnoticed.
"""

# ruff: noqa: E501 -- the code that is replaced stands on one line
from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True)
class Mutation:
    """A believable bug: in ``file`` below src/lmlab, ``old`` becomes ``new``."""

    name: str
    file: str
    old: str
    new: str
    tests: str


MUTATIONS = [
    Mutation("causal mask", "nn/attention.py", "is_causal=True", "is_causal=False",
             "tests/test_model.py tests/nn"),
    Mutation("causal mask on a CPU", "nn/cpu_attention.py", "_forward(q, k, v, 0.0, True)\n            return mixed, log_sums\n        mixed,",
             "_forward(q, k, v, 0.0, False)\n            return mixed, log_sums\n        mixed,", "tests/nn/test_cpu_attention.py"),
    Mutation("first part of a batch in bf16", "nn/cpu_attention.py", "range(0, len(q), size)",
             "range(0, size, size)", "tests/nn/test_cpu_attention.py"),
    Mutation("a later key is seen", "nn/causal_attention.cpp",
             "where_later(found, first + query + row, from, -INFINITY)",
             "where_later(found, first + query + row + 1, from, -INFINITY)",
             "tests/nn/test_compiled_attention.py"),
    Mutation("gradients turned forwards", "nn/causal_attention.cpp",
             "x[d] = first * c[d] + second * s[d + HALF];", "x[d] = first * c[d] + second * s[d];",
             "tests/nn/test_compiled_attention.py"),
    Mutation("scale of keys' gradients", "nn/causal_attention.cpp", "key_sums, sizes.scale()",
             "key_sums, 1.0f", "tests/nn/test_compiled_attention.py"),
    Mutation("own loss: the target's gradient", "nn/softmax_gradients.cpp", "room[target] -= whole;",
             "room[target] -= 1.0f;", "tests/nn/test_compiled_loss.py"),
    Mutation("own loss: padding counts", "nn/softmax_gradients.cpp",
             "room[column] = -INFINITY;", "room[column] = 0.0f;", "tests/nn/test_compiled_loss.py"),
    Mutation("own loss: chunks summed in bf16", "nn/loss_op.py",
             "weight_gradient.float().add_(", "weight_gradient.add_(", "tests/nn/test_compiled_loss.py"),
    Mutation("own loss: last chunk's gradient", "nn/loss_op.py",
             "torch.addmm(weight_gradient, values.T", "torch.addmm(weight_gradient * 0, values.T",
             "tests/nn/test_compiled_loss.py"),
    Mutation("a library of other headers", "native.py",
             '(source, *sorted(source.parent.glob("*.h")))', "(source,)", "tests/test_native.py"),
    Mutation("wandb starts with the run", "tracking/wandb_worker.py", "    select.select([sys.stdin], [], [])",
             "    pass", "tests/test_tracking.py -k behind"),
    Mutation("graphs of long steps", "graphed.py", 'device.type == "cuda" and is_small and', 'device.type == "cuda" and',
             "tests/test_graphed.py"),
    Mutation("a merge again counts again", "tokenizer/vocabulary.py", "dict.fromkeys(merges)", "list(merges)",
             "tests/tokenizer/test_saved_tokenizers.py"),
    Mutation("a library for another processor", "native.py", "_told_by(compiler), _processor()]",
             "_told_by(compiler)]", "tests/test_native.py"),
    Mutation("freed memory is given back", "allocator.py", "mallopt(_MMAP_MAX, 0)",
             "mallopt(_MMAP_MAX, 65536)", "tests/test_allocator.py"),
    Mutation("every rank updates all", "optim/sharded.py", "if owner != self.ranks.rank:", "if False:",
             "tests/ranks/test_sharded_optimizer.py"),
    Mutation("another's optimizer state", "optim/sharded.py", "self.owners[index] == self.ranks.rank else None",
             "self.owners[index] != self.ranks.rank else None", "tests/ranks/test_sharded_optimizer.py"),
    Mutation("state of a divided model is whole", "fully_sharded.py",
             "{key: _divide(value, parameters[index]) for key, value in values.items()}", "values",
             "tests/ranks/test_fully_sharded.py"),
    Mutation("rotation sign", "nn/pos.py", "torch.cat([-sin, sin], -1)", "torch.cat([sin, sin], -1)",
             "tests/nn/test_pos.py tests/test_hf_parity.py"),
    Mutation("rotation base", "nn/pos.py", "theta**-exponents", "10000.0**-exponents",
             "tests/nn/test_pos.py tests/test_hf_parity.py"),
    Mutation("keys are not rotated", "nn/attention.py",
             "pos.rotate(k_BGTK, None)\n    grouped", "k_BGTK\n    grouped", "tests/test_hf_parity.py"),
    Mutation("a stack's tokens see the next", "nn/attention.py", ".triu(1)", ".triu(2)", "tests/nn/test_attention.py"),
    Mutation("the device's time is lost", "trainer.py", "        self.loss_sum.item()\n        self.at.seconds += time.perf_counter() - started",
             "        self.loss_sum.item()", "tests/test_trainer.py"),
    Mutation("long keys lose a byte", "tokenizer/kernels/encoding.py", "8 * max(length - 8, 0)", "8 * max(length - 9, 0)",
             "tests/tokenizer/test_fast_encoding.py"),
    Mutation("the last words of a batch", "tokenizer/kernels/encoding.py", "until = min(last + AHEAD, count)", "until = min(last + AHEAD, count - 1)",
             "tests/tokenizer/test_fast_encoding.py"),
    Mutation("torn entries", "tokenizer/kernels/encoding.py", "return multiply_high(ids ^ mixed, rest ^ _FIRST_MIXER)", "return mixed",
             "tests/tokenizer/test_fast_encoding.py"),
    Mutation("ids overwritten before their turn", "tokenizer/file_encoding.py", "            data = bytes(data)\n", "            pass\n",
             "tests/tokenizer/test_file_encoding.py"),
    Mutation("a vocabulary of another file", "tokenizer/checked.py", "        digest.update(content)\n", "",
             "tests/tokenizer/test_checked.py"),
    Mutation("special tokens in another order", "tokenizer/tokenizer.py", "known.pattern, known.special_tokens",
             "known.pattern, list(known.special_ids)", "tests/tokenizer/test_checked.py"),
    Mutation("a library by another's name", "tokenizer/kernels/machine_code.py", "'./' * next(_names)", "'./'",
             "tests/tokenizer/kernels"),
    Mutation("a journal ahead of the disk", "data/encoding.py", "                os.fsync(self._descriptor)\n                self._journal.keep(place)",
             "                self._journal.keep(place)", "tests/data"),
    Mutation("loss shift", "data/batches.py", "return windows[:, :-1], windows[:, 1:]",
             "return windows[:, :-1], windows[:, :-1]", "tests/data/test_batches.py"),
    Mutation("loss shift in validation", "validation.py", "return window[:, :-1], window[:, 1:]",
             "return window[:, 1:], window[:, 1:]", "tests/test_validation.py"),
    Mutation("decay of gains", "optim/groups.py", 'groups["vectors"]["weight_decay"] = 0.0', "pass",
             "tests/optim"),
    Mutation("embedding among the hidden", "optim/groups.py", '"hidden" if name.startswith("blocks.")',
             '"hidden" if name', "tests/optim"),
    Mutation("schedule ends early", "optim/schedule.py", "(step - start) / (end - start)",
             "(step - start) / (end - start - 1)", "tests/optim/test_schedule.py"),
    Mutation("warm-up from zero", "optim/schedule.py", "(step + 1) / warmup_steps",
             "step / warmup_steps", "tests/optim/test_schedule.py"),
    Mutation("resume one step late", "train_state.py", 'state.progress = Progress(**self.record["progress"])',
             'state.progress = Progress(**self.record["progress"])\n        state.progress.step += 1',
             "tests/test_checkpoint.py tests/test_trainer.py"),
    Mutation("optimizer not restored", "train_state.py",
             '        _restore_optimizer(state.optimizer, self.training, self.record["optimizer"])\n', "",
             "tests/test_checkpoint.py tests/test_trainer.py"),
    Mutation("interval loss forgotten", "trainer.py", "self.at.interval_loss = float(self.loss_sum)",
             "pass", "tests/test_trainer.py"),
    Mutation("damage unnoticed", "checkpoint.py", "hash_file(path) != expected", "False",
             "tests/test_checkpoint.py"),
    Mutation("rows kept after a resume", "run_folder.py", 'row.get("step", 0) <= step', "True",
             "tests/test_run_folder.py"),
    Mutation("best may be worse", "trainer.py", "result.loss < at.best_loss", "True",
             "tests/test_trainer.py"),
    Mutation("rate a step late", "trainer.py", "factor = self.schedule(step)",
             "factor = self.schedule(step + 1)", "tests/test_trainer.py"),
    Mutation("post-norm before", "nn/norm.py", "self.norm(x + self.sublayer(x, *context))",
             "x + self.sublayer(self.norm(x), *context)", "tests/nn/test_norm.py"),
    Mutation("ties to the lesser pair", "tokenizer/plain_training.py",
             "(*(255 - byte for byte in entry), 256)", "tuple(entry)", "tests/tokenizer/test_training.py"),
    Mutation("ties, in the kernel", "tokenizer/kernels/pair_queue.py", "return order > 0",
             "return order < 0", "tests/tokenizer"),
    Mutation("merges across special tokens", "tokenizer/pretokenize.py",
             "finditer(text):\n                yield self", "finditer(''):\n                yield self",
             "tests/tokenizer"),
    Mutation("stream cut too early", "tokenizer/pretokenize.py", "_certain(known)\n",
             "len(known) - 2\n", "tests/tokenizer/test_encoding.py"),
    Mutation("text between matches is lost", "tokenizer/pretokenize.py",
             "pieces += [text[behind:start], text[start:end]]", "pieces += [text[start:end]]",
             "tests/tokenizer/test_encoding.py"),
    Mutation("an empty slot is the largest pair", "tokenizer/kernels/layout.py",
             "(1 << ID_BITS) - 1, ", "1 << ID_BITS, ", "tests/tokenizer/test_fast_encoding.py"),
    Mutation("a journal outlives its job", "data/encoding.py",
             "journal.remove()  # it may", "pass  # it may", "tests/data/test_corpus_encoding.py"),
    Mutation("threads write to the caller's file", "tokenizer/file_encoding.py",
             "os.dup(descriptor)", "descriptor", "tests/tokenizer/test_file_encoding.py"),
    Mutation("any malformed byte is told", "tokenizer/file_encoding.py",
             "number < self._error_part", "False", "tests/tokenizer/test_file_encoding.py"),
    Mutation("the first of equal merges counts", "tokenizer/files.py",
             "dict.fromkeys(reversed(merges)))[::-1]", "dict.fromkeys(merges))",
             "tests/tokenizer/test_saved_tokenizers.py"),
    Mutation("top-p leaves one out", "sampling.py", "before >= top_p", "before + ordered >= top_p",
             "tests/test_sampling.py"),
    Mutation("padding is seen", "sampling.py", "(causal_TS[None] & real_BS[:, None])",
             "causal_TS[None]", "tests/test_sampling.py"),
    Mutation("probability of a pick", "data/grammar.py", "-math.log(len(left))",
             "-math.log(len(self.options))", "tests/data/test_toystories.py"),
    Mutation("supplied knobs may be set", "config/gate.py", "if key in supplied:", "if False:",
             "tests/config/test_gate.py"),
    Mutation("exported rotation the other way", "hf/modeling_lmlab.py",
             "torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)",
             "torch.cat([a * cos + b * sin, b * cos - a * sin], dim=-1)", "tests/hf"),
    Mutation("exported queries and keys", "hf/weights.py",
             '"attn.c_attn": ("attention.sublayer.q", "attention.sublayer.k"',
             '"attn.c_attn": ("attention.sublayer.k", "attention.sublayer.q"', "tests/hf"),
    Mutation("classes by name in exports", "tokenizer/unicode_classes.py", 'return "".join(spelled)',
             "return pattern", "tests/tokenizer/test_interchange.py"),
    Mutation("merges taken for ranks", "tokenizer/tiktoken_form.py",
             "if merges_of_ranks(ranks) != list(tokenizer.merges):", "if False:",
             "tests/tokenizer/test_interchange.py"),
    Mutation("another head dropped", "hf/weights.py",
             'if not torch.equal(head, tensors["embedding.weight"]):', "if False:",
             "tests/test_loading.py"),
    Mutation("place of imported weights", "config/meaning.py", 'if model["init"].get("sha256"):',
             "if False:", "tests/test_loading.py"),
    Mutation("stack: mean of the losses", "stack/gradients.py",
             "losses.backward(torch.ones_like(losses))", "losses.mean().backward()",
             "tests/stack/test_stacked_gradients.py"),
    Mutation("stack: micro-batches count whole", "stack/gradients.py",
             "losses * (inputs.shape[1] / batch)", "losses * 1.0",
             "tests/stack/test_stacked_gradients.py"),
    Mutation("stack: loss of all", "stack/gradients.py", "total += losses.detach()",
             "total += losses.detach().mean()", "tests/stack/test_stacked_gradients.py"),
    Mutation("stack: gradients of the first", "stack/parameters.py", "stacked.grad[place]",
             "stacked.grad[0]", "tests/stack/test_stacked_gradients.py"),
    Mutation("stack: files of all weights", "stack/parameters.py",
             "torch.from_dlpack(stacked.detach()[place])", "stacked.detach()[place]",
             "tests/stack/test_stacked_gradients.py"),
    Mutation("stack: batches change places", "stack/group.py",
             "inputs_KBT[member.place], targets_KBT[member.place]",
             "inputs_KBT[-1 - member.place], targets_KBT[-1 - member.place]",
             "tests/stack/test_stacked_runs.py"),
    Mutation("stack: the done leave no place", "stack/group.py", "for place, config in enumerate(configs)]",
             "for place, config in enumerate(configs)]\n    members = [m for m in members if m.run.status().get('status') != 'done']",
             "tests/stack/test_stacked_runs.py"),
    Mutation("stack: the done begin again", "stack/member.py", 'get("status") in FINISHED', 'get("status") in ()',
             "tests/stack/test_stacked_runs.py"),
    Mutation("stack: all optimizers alike", "stack/eligible.py", '"seeds", "optim", "schedule")',
             '"seeds", "schedule")', "tests/stack/test_stack_eligible.py"),
    Mutation("stack: exact too", "stack/eligible.py", "if policy in BITWISE:", "if False:",
             "tests/stack/test_stack_eligible.py"),
    Mutation("shortest run first", "sweep/driver.py", "key=lambda task: -task.flops",
             "key=lambda task: task.flops", "tests/sweep/test_whole_machine.py -k longest"),
    Mutation("threads by size the other way", "sweep/threads.py", "flops <= SMALL_UPDATE_FLOPS",
             "flops > SMALL_UPDATE_FLOPS", "tests/sweep/test_whole_machine.py -k small_updates"),
    Mutation("a core given twice", "sweep/pinning.py", "fcntl.LOCK_EX | fcntl.LOCK_NB", "fcntl.LOCK_SH",
             "tests/sweep/test_whole_machine.py -k given_once"),
]  # fmt: skip


def unnoticed(mutation: Mutation, copy: Path) -> bool:
    """Try one mutation; print the tests that saw it."""
    path = copy / "src" / "lmlab" / mutation.file
    text = path.read_text("utf-8")
    assert text.count(mutation.old) == 1, f"{mutation.name}: {text.count(mutation.old)} places"
    path.write_text(text.replace(mutation.old, mutation.new), "utf-8")
    environment = os.environ | {"PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider",
               *mutation.tests.split()]  # fmt: skip
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    path.write_text(text, "utf-8")
    seen = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, flags=re.M)
    if done.returncode < 0:
        seen = [f"signal {-done.returncode} ended the tests"]
    print(f"{mutation.name:<30} {seen[0] if seen else 'NOT NOTICED'}", flush=True)
    return not seen


def main(words: list[str]) -> int:
    """Run the mutations whose name holds one of ``words``, or all."""
    chosen = [m for m in MUTATIONS if not words or any(word in m.name for word in words)]
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "lmlab"
        ignored = shutil.ignore_patterns(".venv", ".git", "outputs", "__pycache__", ".*_cache")
        shutil.copytree(ROOT, copy, ignore=ignored)
        missed = sum([unnoticed(mutation, copy) for mutation in chosen])
    print(f"{len(chosen) - missed} of {len(chosen)} were noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
