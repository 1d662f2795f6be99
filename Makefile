# make train trains the default model; make test runs the tests. Both create .venv on first use.
PYTHON ?= python3
# Scale, text and further overrides of a study, for example
#   make ablations SCALE=cpu DATA="data=text data.train=a.txt data.valid=b.txt"
SCALE ?= smoke
DATA ?=
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help

.PHONY: help setup train test test-long test-exhaustive test-slurm test-triton lr-sweep batch-sweep docs lint format clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo "  studies:     $(STUDIES)"

setup: $(VENV)/.installed ## create .venv and install lmlab with its test dependencies

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "lmlab needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

train: $(VENV)/.installed ## train the default model and print a sample (ARGS="model.norm=post" overrides settings)
	@$(BIN)/python -m lmlab.train $(ARGS)

test: $(VENV)/.installed ## run the tests (ARGS="-k tokenizer" selects some)
	@$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m "not long and not slurm and not exhaustive" $(ARGS)

test-long: $(VENV)/.installed ## run the long tests: documentation pages, random kills, every shape of a model
	@$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m "long and not slurm and not exhaustive" $(ARGS)

test-exhaustive: $(VENV)/.installed ## run the tests that train for many minutes, and are no part of .ci/run
	@$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m exhaustive $(ARGS)

test-slurm: $(VENV)/.installed ## run the tests that start a private Slurm (ARGS="-k usr2" selects some)
	@$(BIN)/python -m pytest -m "slurm and not exhaustive" --numprocesses 3 --dist worksteal $(ARGS)

# Triton gets a folder of its own, because torch on a CPU would find it and try to use it. It is not
# in constraints.txt, because torch for CUDA depends on a version of its own.
test-triton: $(VENV)/.installed ## run the GPU kernels interpreted on a CPU (downloads a large package)
	@test -d $(VENV)/triton || $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --target $(VENV)/triton triton==3.9.0
	@TRITON_INTERPRET=1 PYTHONPATH=$(VENV)/triton $(BIN)/python -m pytest tests/unit/nn/kernels/test_triton_*.py $(ARGS)

# Each file in conf/experiment is a target.
STUDIES := $(basename $(notdir $(wildcard conf/experiment/*.yaml)))
.PHONY: $(STUDIES)
$(STUDIES): $(VENV)/.installed
	@$(BIN)/python -m lmlab.train experiment=$@ scale=$(SCALE) $(DATA) $(ARGS)

ablations: ## replace each part of the model (SCALE=cpu DATA=... ARGS=...)
lr-sweep: lr_sweep ## loss against learning rate, up to divergence
batch-sweep: batch_size ## batch sizes at equal tokens, each at its own best learning rate

docs: $(VENV)/.installed ## regenerate docs/configuration.md from conf/
	@$(BIN)/python -m lmlab.config.reference > docs/configuration.md

lint: $(VENV)/.installed ## check formatting, lint, types and layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(VENV)/.installed ## format the code and apply automatic fixes
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## remove .venv and caches, but not outputs/
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
