# `make help` lists the verbs. Everything lives in .venv; nothing outside the folder is touched.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo test test-all test-nojit test-oldest soak check format bench docs schema wheelhouse clean
.DEFAULT_GOAL := help

help: ## list the verbs
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/demo: pyproject.toml constraints.txt
	@echo "Installing into $(VENV) (a minute or two, about 600 MB) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --editable ".[cli,slides]"
	@touch $@

$(VENV)/dev: $(VENV)/demo
	@echo "Installing what tests and training need (some minutes, about 3 GB) ..."
	@$(PIP) --editable ".[dev]"
	@touch $@

demo: $(VENV)/demo ## install, make a synthetic slide, classify it, say where to look
	@$(BIN)/her2edge demo --out her2edge-demo

test: $(VENV)/dev ## install what tests need and run all but the long ones (< 10 minutes)
	$(BIN)/python -m pytest -m "not slow"

test-all: $(VENV)/dev ## every test but those of `make soak`
	$(BIN)/python -m pytest

test-nojit: $(VENV)/dev ## stain, slide and quality with kernels as plain Python (about a minute)
	$(BIN)/python -m pytest tests/her2edge/test_without_jit.py

soak: $(VENV)/dev ## a hundred kills and signals at random moments (about ten minutes)
	$(BIN)/python -m pytest -m soak

check: $(VENV)/dev ## ruff, mypy --strict, pyright, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/basedpyright
	$(BIN)/lint-imports

format: $(VENV)/dev ## lay out the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/demo ## milliseconds per tile and stage of the demo model
	$(BIN)/python benchmarks/latency.py

docs: $(VENV)/demo ## write the README's tables from the kept results, the reference from --help, the tables of docs/recipes.md
	$(BIN)/python benchmarks/tables.py
	$(BIN)/python docs/reference/make.py

schema: $(VENV)/dev ## write the JSON Schemas of manifest.json and summary.json from their types
	$(BIN)/python -m her2edge_quantize.model_file.schema > her2edge/data/manifest.schema.json
	$(BIN)/python -m her2edge.results.schema > her2edge/data/summary.schema.json
	$(BIN)/python -m her2edge_quantize.model_file.schema 1 > her2edge/data/manifest-v1.schema.json

wheelhouse: $(VENV)/demo ## all that installs without network; PLATFORM=linux-aarch64, windows-x86_64, macos-arm64
	@$(BIN)/python docs/deploy/wheelhouse.py $(if $(PLATFORM),--platform $(PLATFORM)) $(if $(EXTRAS),--extras $(EXTRAS))

clean: ## remove the environment and everything made
	rm -rf $(VENV) $(VENV)-oldest her2edge-demo .mypy_cache .pytest_cache .ruff_cache
