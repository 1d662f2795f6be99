# make train trains the default model; make test runs the tests. Both set up .venv on first use.
PYTHON ?= python3
# Of studies: how large, on which text, and whatever else the command takes, as for instance
#   make ablations SCALE=cpu DATA="data=text data.train=a.txt data.valid=b.txt"
SCALE ?= smoke
DATA ?=
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help

.PHONY: help setup train test test-long test-slurm test-triton lr-sweep batch-sweep docs lint format clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo "  studies:     $(STUDIES)"

setup: $(VENV)/.installed ## make .venv and install lmlab with everything its tests need

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "lmlab needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

train: $(VENV)/.installed ## train the default model and show its text (ARGS="model.norm=post" changes it)
	@$(BIN)/python -m lmlab.train $(ARGS)

test: $(VENV)/.installed ## run the tests (ARGS="-k tokenizer" selects some)
	@$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m "not long and not slurm" $(ARGS)

test-long: $(VENV)/.installed ## run those left out there: pages as typed, many kills at random, every shape of a model
	@$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m "long and not slurm" $(ARGS)

test-slurm: $(VENV)/.installed ## run the tests that start a private Slurm (ARGS="-k usr2" selects some)
	@$(BIN)/python -m pytest -m slurm --numprocesses 2 --dist worksteal $(ARGS)

# Beside the other packages and not among them: torch on a CPU would find Triton and try to use it.
# Nor is it in constraints.txt, since torch for CUDA brings a version of its own.
test-triton: $(VENV)/.installed ## run the tests of the GPU's kernels without one, interpreted (fetches a large package)
	@test -d $(VENV)/triton || $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --target $(VENV)/triton triton==3.9.0
	@TRITON_INTERPRET=1 PYTHONPATH=$(VENV)/triton $(BIN)/python -m pytest tests/integration/triton/test_triton_kernels.py $(ARGS)

# A study of conf/experiment goes by its name there.
STUDIES := $(basename $(notdir $(wildcard conf/experiment/*.yaml)))
.PHONY: $(STUDIES)
$(STUDIES): $(VENV)/.installed
	@$(BIN)/python -m lmlab.train experiment=$@ scale=$(SCALE) $(DATA) $(ARGS)

ablations: ## which part of the model could be another? (SCALE=cpu DATA=... ARGS=...)
lr-sweep: lr_sweep ## the loss against the learning rate, to where training breaks down
batch-sweep: batch_size ## batch sizes at equal tokens, each at its own best learning rate

docs: $(VENV)/.installed ## make docs/configuration.md again from the files in conf/
	@$(BIN)/python -m lmlab.config.reference > docs/configuration.md

lint: $(VENV)/.installed ## check format, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(VENV)/.installed ## format the code and mend what lint can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## remove .venv and caches (outputs/ stays)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
