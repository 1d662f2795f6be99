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
    Mutation("special tokens have no bytes", "tokenizer/tokenizer.py",
             "lengths[self.ids.special_ids[END_OF_TEXT]] = 0",
             "lengths[list(self.ids.special_ids.values())] = 0",
             "tests/integration/cli/test_bits_per_byte.py"),
    Mutation("ends spelled by ordinary tokens have bytes", "data/text_bytes.py",
             "total -= len(_MARKER) * data.count(_MARKER)", "pass",
             "tests/integration/cli/test_bits_per_byte.py"),
    Mutation("texts of a seed occur under the next", "training/generation.py",
             'f"texts:{seed}:{index}"', 'f"texts:{seed + index}"',
             "tests/unit/training/test_generation.py"),
    Mutation("the loss ignores the number of items", "hf/modeling_lmlab.py",
             'reduction = "mean" if num_items is None else "sum"', 'reduction = "mean"',
             "tests/integration/hf/test_exported_calls.py"),
    Mutation("tokenizers are exported with token types", "tokenizer/formats/huggingface.py",
             '["input_ids", "attention_mask"]', '["input_ids", "token_type_ids", "attention_mask"]',
             "tests/integration/hf/test_exported_calls.py"),
    Mutation("encoders are pickled with their kernels", "tokenizer/adaptive_encoder.py",
             "return type(self), (self.ids,)", "return object.__reduce_ex__(self, 2)",
             "tests/unit/tokenizer/test_adaptive_encoder.py"),
    Mutation("a range of binary numbers", "config/sweep_axes.py",
             "(Decimal(str(end)) for end in ends)", "(Decimal(end) for end in ends)",
             "tests/unit/config/test_sweep_axes.py"),
    Mutation("zipped axes of different lengths", "config/sweep_axes.py",
             "if len({len(column) for column in columns}) > 1:", "if False:",
             "tests/unit/config/test_sweep_axes.py"),
    Mutation("callbacks from any package", "config/hydra_settings.py",
             "if not inner.startswith(_HYDRA_CALLBACKS):", "if False:",
             "tests/unit/config/test_hydra_settings.py"),
    Mutation("texts of interpolations stay texts", "config/interpolation.py",
             "return parse_text(value) if _is_untyped_text(node, value, root) else value",
             "return value", "tests/unit/config/test_interpolation.py"),
    Mutation("variables of Slurm reach its commands", "sweep/slurm/commands.py",
             "if _CONNECTION.match(key) or not _INPUT_VARIABLES.match(key)", "if True",
             "tests/unit/sweep/slurm/test_commands.py tests/unit/sweep/slurm/test_sbatch.py"),
    Mutation("options only in the batch script", "sweep/slurm/sbatch.py",
             '"--parsable", *_arguments(script), str(path)', '"--parsable", str(path)',
             "tests/unit/sweep/slurm/test_sbatch.py"),
    Mutation("each array of a request runs as many jobs", "sweep/slurm/array_submitter.py",
             "parallelism // lanes + (lane < parallelism % lanes)", "parallelism",
             "tests/unit/sweep/slurm/test_array_submitter.py"),
    Mutation("a lost answer of sbatch submits twice", "sweep/slurm/sbatch.py",
             "number = queue.job_id_by_name(name)", "number = None", "tests/unit/sweep/slurm/test_sbatch.py"),
    Mutation("a run that another study uses is deleted", "outputs/delete.py",
             "if reference.run in remaining", "if False", "tests/unit/outputs/test_delete.py"),
    Mutation("a callback changes the weights", "training/callbacks.py", "if after[part] != checksum",
             "if False", "tests/unit/training/test_callbacks.py"),
    Mutation("a callback moves the random numbers", "training/callbacks.py",
             "with preserved_generators(), torch.no_grad():", "with torch.no_grad():",
             "tests/unit/training/test_callbacks.py"),
    Mutation("an evaluated model drops", "nn/dropout.py", "self.probability, module.training",
             "self.probability, True", "tests/unit/nn/test_transformer.py"),
    Mutation("a stack shares the masks of dropout", "runs/stacked/eligibility.py", "    if dropout:",
             "    if False:", "tests/unit/runs/stacked/test_eligibility.py"),
    Mutation("causal mask", "nn/attention.py", "is_causal=True", "is_causal=False",
             "tests/unit/nn/test_transformer.py tests/unit/nn"),
    Mutation("causal mask on a CPU", "nn/kernels/fp32_attention.py", "_forward(q, k, v, 0.0, True)\n            return output, log_sums\n        output,",
             "_forward(q, k, v, 0.0, False)\n            return output, log_sums\n        output,", "tests/unit/nn/kernels/test_fp32_attention.py"),
    Mutation("first part of a batch in bf16", "nn/kernels/fp32_attention.py", "range(0, len(q), size)",
             "range(0, size, size)", "tests/unit/nn/kernels/test_fp32_attention.py"),
    Mutation("a query attends to a later key", "nn/kernels/causal_attention.cpp",
             "mask_later_keys(found, first + query + row, from, -INFINITY)",
             "mask_later_keys(found, first + query + row + 1, from, -INFINITY)",
             "tests/unit/nn/kernels/test_cpp_attention.py"),
    Mutation("gradients rotated forward", "nn/kernels/causal_attention.cpp",
             "x[d] = first * c[d] + second * s[d + HALF];", "x[d] = first * c[d] + second * s[d];",
             "tests/unit/nn/kernels/test_cpp_attention.py"),
    Mutation("scale of keys' gradients", "nn/kernels/causal_attention.cpp", "key_sums, sizes.scale()",
             "key_sums, 1.0f", "tests/unit/nn/kernels/test_cpp_attention.py"),
    Mutation("loss kernel: gradient of the target", "nn/kernels/softmax_gradients.cpp", "buffer[target] -= total;",
             "buffer[target] -= 1.0f;", "tests/unit/nn/kernels/test_cpp_loss.py"),
    Mutation("loss kernel: padding enters the sum", "nn/kernels/softmax_gradients.cpp",
             "buffer[column] = -INFINITY;", "buffer[column] = 0.0f;", "tests/unit/nn/kernels/test_cpp_loss.py"),
    Mutation("loss kernel: chunks summed in bf16", "nn/kernels/loss_op.py",
             "weight_gradient.float().add_(", "weight_gradient.add_(", "tests/unit/nn/kernels/test_cpp_loss.py"),
    Mutation("loss kernel: gradient of the last chunk only", "nn/kernels/loss_op.py",
             "torch.addmm(weight_gradient, values.T", "torch.addmm(weight_gradient * 0, values.T",
             "tests/unit/nn/kernels/test_cpp_loss.py"),
    Mutation("a library of other headers", "runtime/cpp_extension.py",
             '(source, *sorted(source.parent.glob("*.h")))', "(source,)", "tests/unit/runtime/test_cpp_extension.py"),
    Mutation("earlier rows are not sent", "tracking/wandb_worker.py", 'for row in settings["earlier_rows"]:',
             "for row in []:", "tests/integration/tracking/test_wandb_process.py -k whole_folder"),
    Mutation("a tracker changes the row of the run", "tracking/guarded_tracker.py", '"log", dict(row)', '"log", row',
             "tests/unit/tracking/test_guarded_tracker.py"),
    Mutation("the environment does not count", "config/tracker_environment.py", "return text or default",
             "return default", "tests/unit/config/test_tracker_environment.py"),
    Mutation("wandb starts with the run", "tracking/wandb_worker.py", "    select.select([sys.stdin], [], [])",
             "    pass", "tests/integration/tracking/test_wandb_process.py -k after_the_first"),
    Mutation("graphs of long steps", "training/cuda_graph.py", 'device.type == "cuda" and is_small and', 'device.type == "cuda" and',
             "tests/unit/training/test_cuda_graph.py"),
    Mutation("repeated merges count twice", "tokenizer/vocabulary.py", "dict.fromkeys(merges)", "list(merges)",
             "tests/unit/tokenizer/test_vocabulary.py"),
    Mutation("a library for another processor", "runtime/cpp_extension.py", "platform.machine(), cpu_info()]",
             "platform.machine()]", "tests/unit/runtime/test_cpp_extension.py"),
    Mutation("freed memory is given back", "runtime/malloc.py", "mallopt(_MMAP_MAX, 0)",
             "mallopt(_MMAP_MAX, 65536)", "tests/unit/runtime/test_malloc.py"),
    Mutation("every rank updates all", "distributed/zero1.py", "if owner != self.comm.rank:", "if False:",
             "tests/unit/distributed/test_sharded_optimizer.py"),
    Mutation("another's optimizer state", "distributed/zero1.py", "self.owners[index] == self.comm.rank else None",
             "self.owners[index] != self.comm.rank else None", "tests/unit/distributed/test_sharded_optimizer.py"),
    Mutation("state of a divided model is whole", "distributed/fsdp.py",
             "{key: _shard_like(parameters[index], value) for key, value in values.items()}", "values",
             "tests/integration/distributed/test_fsdp.py"),
    Mutation("rotation sign", "nn/pos.py", "torch.cat([-sin, sin], -1)", "torch.cat([sin, sin], -1)",
             "tests/unit/nn/test_pos.py tests/integration/hf/test_hf_parity.py"),
    Mutation("rotation base", "nn/pos.py", "theta**-exponents", "10000.0**-exponents",
             "tests/unit/nn/test_pos.py tests/integration/hf/test_hf_parity.py"),
    Mutation("keys are not rotated", "nn/attention.py",
             "pos.rotate(k_BGTK, None)\n    grouped", "k_BGTK\n    grouped", "tests/integration/hf/test_hf_parity.py"),
    Mutation("a stack's tokens see the next", "nn/attention.py", ".triu(1)", ".triu(2)", "tests/unit/nn/test_attention.py"),
    Mutation("the device's time is lost", "training/interval_meter.py", "        self.loss_sum.item()\n        self.progress.seconds += time.perf_counter() - started",
             "        self.loss_sum.item()", "tests/unit/training/test_interval_meter.py"),
    Mutation("long keys lose a byte", "tokenizer/kernels/encoding.py", "8 * max(length - 8, 0)", "8 * max(length - 9, 0)",
             "tests/unit/tokenizer/kernels/test_encoding.py"),
    Mutation("the last words of a batch", "tokenizer/kernels/encoding.py", "until = min(last + AHEAD, count)", "until = min(last + AHEAD, count - 1)",
             "tests/unit/tokenizer/test_fast_encoder.py"),
    Mutation("torn entries", "tokenizer/kernels/encoding.py", "return multiply_high(ids ^ mixed, rest ^ _FIRST_MIXER)", "return mixed",
             "tests/unit/tokenizer/kernels/test_encoding.py"),
    Mutation("ids overwritten before their turn", "tokenizer/file_encoding.py", "            data = bytes(data)\n", "            pass\n",
             "tests/unit/tokenizer/test_file_encoding.py"),
    Mutation("a vocabulary of another file", "tokenizer/parsed_cache.py", "        digest.update(content)\n", "",
             "tests/unit/tokenizer/test_parsed_cache.py"),
    Mutation("special tokens in another order", "tokenizer/parsed_cache.py", "special_tokens=self.special_tokens",
             "special_tokens=list(self.special_ids)", "tests/unit/tokenizer/test_parsed_cache.py"),
    Mutation("a library by another's name", "tokenizer/kernels/machine_code.py", "'./' * next(_names)", "'./'",
             "tests/unit/tokenizer/kernels"),
    Mutation("a journal ahead of the disk", "data/corpus_encoding.py", "                os.fsync(self._descriptor)\n                self._journal.keep(position)",
             "                self._journal.keep(position)", "tests/unit/data"),
    Mutation("loss shift", "data/batches.py", "return windows[:, :-1], windows[:, 1:]",
             "return windows[:, :-1], windows[:, :-1]", "tests/unit/data/test_batches.py"),
    Mutation("loss shift in validation", "training/evaluator.py", "return window[:, :-1], window[:, 1:]",
             "return window[:, 1:], window[:, 1:]", "tests/unit/training/test_evaluator.py"),
    Mutation("decay of gains", "optim/groups.py", 'groups["vectors"]["weight_decay"] = 0.0', "pass",
             "tests/unit/optim"),
    Mutation("embedding among the hidden", "optim/groups.py", '"hidden" if name.startswith("blocks.")',
             '"hidden" if name', "tests/unit/optim"),
    Mutation("schedule ends early", "optim/lr_schedule.py", "(step - start) / (end - start)",
             "(step - start) / (end - start - 1)", "tests/unit/optim/test_lr_schedule.py"),
    Mutation("warm-up from zero", "optim/lr_schedule.py", "(step + 1) / warmup_steps",
             "step / warmup_steps", "tests/unit/optim/test_lr_schedule.py"),
    Mutation("resume one step late", "training/state.py", 'state.progress = Progress(**self.record["progress"])',
             'state.progress = Progress(**self.record["progress"])\n        state.progress.step += 1',
             "tests/unit/training/test_checkpoint.py tests/unit/training/test_trainer.py"),
    Mutation("optimizer not restored", "training/state.py",
             '        restore_optimizer(state.optimizer, self.training, self.record["optimizer"])\n', "",
             "tests/unit/training/test_checkpoint.py tests/unit/training/test_trainer.py"),
    Mutation("interval loss forgotten", "training/interval_meter.py", "self.progress.interval_loss = float(self.loss_sum)",
             "pass", "tests/unit/training/test_trainer.py"),
    Mutation("damage unnoticed", "training/checkpoint_files.py", "hash_file(path) != expected", "False",
             "tests/unit/training/test_checkpoint.py"),
    Mutation("rows kept after a resume", "run_folder.py", 'row.get("step", 0) <= step', "True",
             "tests/unit/test_run_folder.py"),
    Mutation("best may be worse", "training/trainer.py", "result.loss < progress.best_loss", "True",
             "tests/unit/training/test_trainer.py"),
    Mutation("rate a step late", "training/trainer.py", "factor = self.schedule(step)",
             "factor = self.schedule(step + 1)", "tests/unit/training/test_trainer.py"),
    Mutation("post-norm before", "nn/norm.py", "self.norm(x + self.sublayer(x, *context))",
             "x + self.sublayer(self.norm(x), *context)", "tests/unit/nn/test_norm.py"),
    Mutation("ties to the lesser pair", "tokenizer/reference_training.py",
             "(*(255 - byte for byte in entry), 256)", "tuple(entry)", "tests/unit/tokenizer/test_reference_training.py"),
    Mutation("ties, in the kernel", "tokenizer/kernels/pair_queue.py", "return order > 0",
             "return order < 0", "tests/unit/tokenizer/kernels/test_pair_queue.py"),
    Mutation("merges across special tokens", "tokenizer/pretokenize.py",
             "finditer(text):\n                yield self", "finditer(''):\n                yield self",
             "tests/unit/tokenizer tests/integration/tokenizer"),
    Mutation("stream cut too early", "tokenizer/pretokenize.py", "_final_length(known)\n",
             "len(known) - 2\n", "tests/unit/tokenizer/test_pretokenize.py"),
    Mutation("text between matches is lost", "tokenizer/pretokenize.py",
             "pieces += [text[previous_end:start], text[start:end]]", "pieces += [text[start:end]]",
             "tests/unit/tokenizer/test_pretokenize.py"),
    Mutation("an empty slot is the largest pair", "tokenizer/kernels/layout.py",
             "(1 << ID_BITS) - 1, ", "1 << ID_BITS, ", "tests/unit/tokenizer/test_kernel_encoder.py"),
    Mutation("a journal outlives its job", "data/corpus_encoding.py",
             "journal.remove()  # it may", "pass  # it may", "tests/unit/data/test_corpus_encoding.py"),
    Mutation("threads write to the caller's file", "tokenizer/file_encoding.py",
             "os.dup(descriptor)", "descriptor", "tests/unit/tokenizer/test_file_encoding.py"),
    Mutation("any malformed byte is reported", "tokenizer/file_encoding.py",
             "number < self._error_part", "False", "tests/unit/tokenizer/test_file_encoding.py"),
    Mutation("the first of equal merges counts", "tokenizer/vocabulary.py",
             "dict.fromkeys(reversed(merges)))[::-1]", "dict.fromkeys(merges))",
             "tests/unit/tokenizer/formats/test_gpt2.py"),
    Mutation("top-p leaves one out", "training/generation.py", "before >= top_p", "before + ordered >= top_p",
             "tests/unit/training/test_generation.py"),
    Mutation("padding is seen", "training/generation.py", "(causal_TS[None] & real_BS[:, None])",
             "causal_TS[None]", "tests/unit/training/test_generation.py"),
    Mutation("probability of a pick", "data/grammar.py", "-math.log(len(available))",
             "-math.log(len(self.options))", "tests/unit/data/test_grammar.py"),
    Mutation("supplied parameters may be set", "config/target_validation.py", "if key in supplied:", "if False:",
             "tests/unit/config/test_target_validation.py"),
    Mutation("exported rotation the other way", "hf/modeling_lmlab.py",
             "torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)",
             "torch.cat([a * cos + b * sin, b * cos - a * sin], dim=-1)", "tests/integration/hf"),
    Mutation("exported queries and keys", "hf/weights.py",
             '"attn.c_attn": ("attention.sublayer.q", "attention.sublayer.k"',
             '"attn.c_attn": ("attention.sublayer.k", "attention.sublayer.q"', "tests/unit/hf/test_weights.py"),
    Mutation("classes by name in exports", "tokenizer/unicode_classes.py", 'return "".join(spelled)',
             "return pattern", "tests/unit/tokenizer/test_unicode_classes.py"),
    Mutation("merges taken for ranks", "tokenizer/formats/tiktoken.py",
             "if merges_of_ranks(ranks) != list(vocabulary.merges):", "if False:",
             "tests/unit/tokenizer/formats/test_tiktoken.py"),
    Mutation("a head other than the tied embedding is ignored", "hf/weights.py",
             'if not torch.equal(head, tensors["embedding.weight"]):', "if False:",
             "tests/unit/hf/test_weights.py"),
    Mutation("path of imported weights", "config/identity_settings.py", 'if model["init"].get("sha256"):',
             "if False:", "tests/unit/config/test_identity_settings.py"),
    Mutation("identities on the current names", "config/identity_settings.py", "content = original_names(config)",
             "content = config", "tests/integration/compatibility/test_runs_kept_from_before.py"),
    Mutation("every interval at the level of the study", "study/statistics.py", "levels[index] = alpha / (total - rejected)",
             "levels[index] = alpha", "tests/unit/study/test_statistics.py"),
    Mutation("power of the central t", "study/noncentral_t.py", "special.ndtr(noncentrality - bound * scale)",
             "special.ndtr(-bound * scale)", "tests/unit/study/test_noncentral_t.py"),
    Mutation("second look as independent", "study/sequential_test.py", "p * (2 - _second_given_first(p, looks))",
             "p * (2 - p)", "tests/unit/study/test_sequential_test.py"),
    Mutation("a NaN at the end counts as done", "run_folder.py", "if loss is None or not math.isfinite(loss):",
             "if loss is None:", "tests/unit/study/test_study_facts.py"),
    Mutation("one arm name for two configurations", "design/sweep_jobs.py", "        if arm.name == name:",
             "        if arm.name == name and not name:", "tests/unit/design/test_sweep_jobs.py"),
    Mutation("every job counts as a seed", "design/sweep_jobs.py", "        if seeds in arm.seeds:",
             "        if False:", "tests/unit/design/test_sweep_jobs.py"),
    Mutation("ids of studies on the current names", "design/manifest.py", "_identifying(original_names(arm))",
             "_identifying(arm)", "tests/integration/compatibility/test_runs_kept_from_before.py"),
    Mutation("a rename reported each time", "config/renamed_targets.py", "@functools.cache\n", "",
             "tests/unit/config/test_renamed_targets.py"),
    Mutation("preflight: the first evaluation is free", "preflight/forecast.py", "first = 1 if steps_done == 0 else 0",
             "first = 0", "tests/unit/preflight/test_forecast.py"),
    Mutation("preflight: each pass has an update", "preflight/measurement.py",
             "passes * max(step - update, 0.0) + update", "passes * step", "tests/unit/preflight/test_measurement.py"),
    Mutation("preflight: a short run teaches", "preflight/calibration.py", "known is not None and steps >= LEARNED_STEPS",
             "known is not None", "tests/unit/preflight/test_calibration.py"),
    Mutation("preflight: a resumed run's files count twice", "preflight/capacity_check.py",
             "machine_resources.size_of(folder) if folder.exists() else 0", "0",
             "tests/unit/preflight/test_capacity_check.py"),
    Mutation("preflight: a container's cache counts as used", "preflight/machine_resources.py",
             "max(0, limit - used + cached)", "max(0, limit - used)", "tests/unit/preflight/test_machine_resources.py"),
    Mutation("a rank computes the full batch", "build/factory.py", "workload.for_rank(comm.size), comm", "workload, comm",
             "tests/unit/build/test_factory.py"),
    Mutation("sampling seed of the batches", "build/run_spec.py", "seed=config.seeds.sampling", "seed=config.seeds.data",
             "tests/unit/build/test_run_spec.py"),
    Mutation("unequal micro-batches", "config/rank_batch.py", "if micro is not None and part % micro:", "if False:",
             "tests/unit/config/test_rank_batch.py"),
    Mutation("a session forgets the earlier ones", "runs/run_metadata.py", '[*folder.meta().get("sessions", []), session]',
             "[session]", "tests/integration/run/test_session.py"),
    Mutation("a child with another learning rate", "runs/continuation.py", '("config.training.steps", "config.schedule.")',
             '("config.training.steps", "config.schedule.", "config.optim.")', "tests/integration/run/test_continuation.py"),
    Mutation("a run writes into a taken folder", "runs/session.py",
             'if folder.meta().get("identity") not in (None, self.context.identity):', "if False:",
             "tests/integration/run/test_session.py"),
    Mutation("stack: mean of the losses", "runs/stacked/stacked_gradients.py",
             "losses.backward(torch.ones_like(losses))", "losses.mean().backward()",
             "tests/unit/runs/stacked/test_stacked_gradients.py"),
    Mutation("stack: micro-batches count whole", "runs/stacked/stacked_gradients.py",
             "losses * (inputs.shape[1] / batch)", "losses * 1.0",
             "tests/unit/runs/stacked/test_stacked_gradients.py"),
    Mutation("stack: loss of all", "runs/stacked/stacked_gradients.py", "total += losses.detach()",
             "total += losses.detach().mean()", "tests/unit/runs/stacked/test_stacked_gradients.py"),
    Mutation("stack: gradients of the first", "runs/stacked/stacked_parameters.py", "stacked.grad[index]",
             "stacked.grad[0]", "tests/unit/runs/stacked/test_stacked_gradients.py"),
    Mutation("stack: files of all weights", "runs/stacked/stacked_parameters.py",
             "torch.from_dlpack(stacked.detach()[index])", "stacked.detach()[index]",
             "tests/unit/runs/stacked/test_stacked_gradients.py"),
    Mutation("stack: batches change places", "runs/stacked/execute_stack.py",
             "inputs_KBT[member.index], targets_KBT[member.index]",
             "inputs_KBT[-1 - member.index], targets_KBT[-1 - member.index]",
             "tests/integration/run/test_execute_stack.py"),
    Mutation("stack: the done leave no place", "runs/stacked/execute_stack.py", "for index, spec in enumerate(specs)]",
             "for index, spec in enumerate(specs)]\n    members = [m for m in members if m.context.folder.status().get('status') != 'done']",
             "tests/integration/run/test_member.py"),
    Mutation("stack: the done begin again", "runs/stacked/member.py", 'get("status") in FINISHED', 'get("status") in ()',
             "tests/integration/run/test_member.py"),
    Mutation("stack: all optimizers alike", "runs/stacked/eligibility.py", '"seeds", "optim", "schedule")',
             '"seeds", "schedule")', "tests/unit/runs/stacked/test_eligibility.py"),
    Mutation("stack: exact too", "runs/stacked/eligibility.py", "if policy in BITWISE_POLICIES:", "if False:",
             "tests/unit/runs/stacked/test_eligibility.py"),
    Mutation("shortest run first", "sweep/driver.py", "key=lambda run: -run.training_flops",
             "key=lambda run: run.training_flops", "tests/unit/sweep/test_driver.py -k longest"),
    Mutation("threads by size the other way", "sweep/threads.py", "flops <= SMALL_UPDATE_FLOPS",
             "flops > SMALL_UPDATE_FLOPS", "tests/unit/sweep/test_threads.py"),
    Mutation("a core given twice", "sweep/cpu_affinity.py", "fcntl.LOCK_EX | fcntl.LOCK_NB", "fcntl.LOCK_SH",
             "tests/unit/sweep/test_cpu_affinity.py"),
    Mutation("a mean of the seeds that are left", "study/figures.py", "set.intersection(*(set(by_tokens) for by_tokens in losses_of_runs))",
             "set(losses_of_runs[0])", "tests/unit/study/test_figures.py"),
    Mutation("a huge effect flattens the others", "study/chart_scales.py", "if sizes[-1] > _OUTLYING * small",
             "if sizes[-1] > 1e9 * small", "tests/unit/study/test_figures.py tests/unit/study/test_forest.py"),
    Mutation("a rate beyond the edge counts as stable", "study/rate_figure.py", "rate >= lowest", "rate > lowest",
             "tests/unit/study/test_rate_figure.py"),
    Mutation("ten arms of which two look the same", "study/figure_style.py", "MARKERS[index % len(MARKERS)]",
             "MARKERS[index % 2]", "tests/unit/study/test_figure_style.py"),
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
        ignored = shutil.ignore_patterns(".venv", ".git", "__pycache__", ".*_cache")
        shutil.copytree(
            ROOT, copy,
            ignore=lambda folder, names: (
                ignored(folder, names) | ({"outputs"} if Path(folder) == ROOT else set())
            ),
        )  # fmt: skip
        missed = sum([unnoticed(mutation, copy) for mutation in chosen])
    print(f"{len(chosen) - missed} of {len(chosen)} were noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
