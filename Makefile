# `make help` lists the verbs. Everything lives in .venv; nothing outside the folder is touched.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
# Test processes; each holds TensorFlow and Numba, up to about 3 GB.
WORKERS ?= 2
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PIP := $(BIN)/python $(PIP_INSTALL)
WHEEL_ENV := build/wheel-env
WHEEL_PYTHON = $(WHEEL_ENV)/$(notdir $(BIN))/python

.PHONY: help demo test test-all test-nojit test-aarch64 soak check format bench docs docs-site schema wheelhouse release sbom clean
.DEFAULT_GOAL := help

help: ## list the verbs
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/demo: pyproject.toml constraints.txt
	@echo "Installing into $(VENV) (a minute or two, about 600 MB) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --editable ".[cli,slides]"
	@touch $@

$(VENV)/docs: $(VENV)/demo
	@$(PIP) --editable ".[docs]"
	@touch $@

$(VENV)/release: $(VENV)/demo
	@$(PIP) --editable ".[release]"
	@touch $@

$(VENV)/dev: $(VENV)/demo
	@echo "Installing what tests and training need (some minutes, about 3 GB) ..."
	@$(PIP) --editable ".[dev]"
	@touch $@

demo: $(VENV)/demo ## install, make a synthetic slide, classify it, say where to look
	@$(BIN)/her2edge demo --out her2edge-demo

test: $(VENV)/dev ## install what tests need and run all but the long ones (12 minutes on two cores)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow"

test-all: $(VENV)/dev ## every test but those of `make soak`
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test-nojit: $(VENV)/dev ## stain, slide and quality with kernels as plain Python (about a minute)
	$(BIN)/python -m pytest tests/her2edge/test_without_jit.py

test-aarch64: $(VENV)/dev ## the wheelhouse on ARM, emulated, beside this machine; QEMU=FILE CPU=cortex-a76 STUDENT=MODEL SAVE=NAME
	@$(BIN)/python tests/aarch64 $(if $(QEMU),--qemu $(QEMU)) $(if $(CPU),--cpu $(CPU)) $(if $(STUDENT),--student $(STUDENT)) $(if $(SAVE),--save $(SAVE))

soak: $(VENV)/dev ## a hundred kills and signals at random moments (about ten minutes)
	$(BIN)/python -m pytest -m soak

check: $(VENV)/dev ## ruff, mypy --strict, pyright, import-linter, yamllint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/yamllint --strict .
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows $(wildcard .github/workflows/*.yml)

format: $(VENV)/dev ## lay out the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/demo ## milliseconds per tile and stage of the demo model
	$(BIN)/python benchmarks/latency.py

docs: $(VENV)/demo ## write the documents' tables from the kept results, the reference from --help, the tables of docs/recipes.md, the picture of the rooms
	$(BIN)/python benchmarks/tables.py
	$(BIN)/python docs/reference/make.py
	$(BIN)/python docs/pictures/house.py

schema: $(VENV)/dev ## write the JSON Schemas of manifest.json and summary.json from their types
	$(BIN)/python -m her2edge_quantize.model_file.schema > her2edge/data/manifest.schema.json
	$(BIN)/python -m her2edge.results.schema > her2edge/data/summary.schema.json
	$(BIN)/python -m her2edge_quantize.model_file.schema 1 > her2edge/data/manifest-v1.schema.json

docs-site: $(VENV)/docs ## the site of docs/, strictly and without a network: build/docs-site/index.html
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

wheelhouse: $(VENV)/demo ## all that installs without network; PLATFORM=linux-aarch64, windows-x86_64, macos-arm64
	@$(BIN)/python docs/deploy/wheelhouse.py $(if $(PLATFORM),--platform $(PLATFORM)) $(if $(EXTRAS),--extras $(EXTRAS))

release: $(VENV)/release ## build wheel and sdist into dist/, check them, classify with the wheel in an empty environment
	rm -rf dist/her2edge-* $(WHEEL_ENV)
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m twine check --strict dist/her2edge-*
	$(BIN)/python -m venv $(WHEEL_ENV)
	$(WHEEL_PYTHON) $(PIP_INSTALL) "$$(echo dist/her2edge-*.whl)[cli,slides]"
	cd build && $(abspath $(WHEEL_PYTHON)) -m her2edge_cli demo --out release-demo

sbom: $(VENV)/release ## dist/her2edge.cdx.json: what the extras cli and slides install, with licences (after `make release`)
	$(BIN)/cyclonedx-py environment --output-reproducible --output-file dist/her2edge.cdx.json --pyproject pyproject.toml $(WHEEL_PYTHON)

clean: ## remove the environment and everything made
	rm -rf $(VENV) build dist her2edge-demo .mypy_cache .pytest_cache .ruff_cache
