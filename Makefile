# Everything a person or a machine does with this project, by name. `make help` lists it.
# Each target makes the virtual environment it needs and installs into it only when pyproject.toml has changed.

SUPPORTED := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
CANDIDATES := python3 python3.13 python3.12 python3.11
PYTHON ?= $(firstword $(foreach name,$(CANDIDATES),$(shell $(name) -c '$(SUPPORTED)' >/dev/null 2>&1 && echo $(name))))

VENV := .venv
PARITY_VENV := .venv-parity
TORCH := torch==2.13.0
ONNXRUNTIME := onnxruntime==1.32.0
PELLUCID := $(VENV)/bin/python -m pellucid
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test coverage test-web check parity bench docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.ready-run ## train LeNet-5 on real handwritten digits, evaluate it, open numbers of it
	@rm -rf runs/demo
	$(PELLUCID) train digits --model lenet5 --epochs 10 --seed 0 --out runs/demo
	$(PELLUCID) eval runs/demo --split test --require "accuracy>=0.96"
	@echo; echo "One number of the forward pass, opened:"
	$(PELLUCID) explain runs/demo 0 "conv1[2,12,13]"
	@echo; echo "One number of the backward pass, opened:"
	$(PELLUCID) explain runs/demo 0 "d conv1.weight[2,0,1,1]"
	@echo; echo "Curves, confusion matrix and the run's figures: open $(CURDIR)/runs/demo/report.html"

test: $(VENV)/.ready-dev ## run the tests
	$(VENV)/bin/python -m pytest -n auto --dist worksteal

coverage: $(VENV)/.ready-dev ## run the tests and list the lines that none of them reaches; takes twice as long
	$(VENV)/bin/python -m pytest -n auto --dist worksteal --cov --cov-report=term

test-web: $(VENV)/.ready-web ## look at explanations as pages in Chromium, with axe-core (installs both)
	$(VENV)/bin/python -m pytest -m browser -n auto tests/web

check: $(VENV)/.ready-dev ## ruff, mypy --strict and the direction of imports
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m ruff format --check .
	$(VENV)/bin/python -m mypy
	$(VENV)/bin/python -m pytest -q tests/test_imports.py

parity: $(PARITY_VENV)/.ready-parity ## compare with PyTorch and onnxruntime (in an environment of its own)
	OMP_NUM_THREADS=1 $(PARITY_VENV)/bin/python -m pytest -m parity -n auto --dist worksteal tests/parity

docs: $(VENV)/.ready-run ## run the examples of README.md and docs/, check their links
	$(VENV)/bin/python tools/check_docs.py

bench: $(PARITY_VENV)/.ready-parity ## measure speed on this machine, beside PyTorch (in an environment of its own)
	@set -e; for program in networks architectures layers accuracy contraction; do \
	    echo "== bench/$$program.py"; $(PARITY_VENV)/bin/python "bench/$$program.py"; done

clean: ## remove environments, caches and build products (runs/ stays)
	rm -rf $(VENV) $(PARITY_VENV) build dist htmlcov .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp, not bin/python, says that an environment is complete: an interrupted creation starts over.
%/.created:
	@test -n "$(PYTHON)" || { echo "Pellucid needs Python 3.11, 3.12 or 3.13 with its venv module, and none was found." >&2; \
	    echo "Install one (Debian, Ubuntu: apt install python3 python3-venv) or name it: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	@$(PYTHON) -c '$(SUPPORTED)' || { echo "$(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
	    echo "Pellucid needs Python 3.11, 3.12 or 3.13 with its venv module. Name one: make PYTHON=python3.12" >&2; exit 2; }
	@echo "Creating $* with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $*
	@touch $@

$(VENV)/.ready-run: pyproject.toml | $(VENV)/.created
	@echo "Installing Pellucid into $(VENV) (the first time takes a minute)"
	@$(VENV)/bin/python -m pip install --quiet --editable '.[onnx,plots]'
	@touch $@

$(VENV)/.ready-dev: pyproject.toml | $(VENV)/.created
	@echo "Installing Pellucid and its test tools into $(VENV) (the first time takes a minute)"
	@$(VENV)/bin/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.ready-run

$(VENV)/.ready-web: $(VENV)/.ready-dev
	@echo "Installing the browser's driver and axe-core into $(VENV)"
	@$(VENV)/bin/python -m pip install --quiet --editable '.[dev,web]'
	@command -v chromium >/dev/null || tools/install_chromium.sh $(VENV)
	@touch $@

$(PARITY_VENV)/.ready-parity: pyproject.toml Makefile | $(PARITY_VENV)/.created
	@echo "Installing Pellucid, $(TORCH) and $(ONNXRUNTIME) into $(PARITY_VENV) (a large download)"
	@$(PARITY_VENV)/bin/python -m pip install --quiet $(TORCH) $(ONNXRUNTIME) --editable '.[test]'
	@touch $@
