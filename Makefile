# Two commands for newcomers: `make up` and `make test`. `make help` lists the rest.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help up test check format contracts servers train-garment train-landmarks benchmark clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(VENV)/.ready: pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (torch is large: a minute or two) …"
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 13) else f"Python 3.11 or 3.12 is needed, this is {v[0]}.{v[1]}; try: make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --editable .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	@$(PIP) --editable '.[dev,training]'
	@touch $@

up: $(VENV)/.ready ## Run everything: page and API on http://127.0.0.1:8000
	@exec $(BIN)/lookstream up

test: $(VENV)/.ready-dev ## All tests; real servers too where Java, Maven and Go are there
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(VENV)/.ready-dev ## Style, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.ready-dev ## Put the code in shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

contracts: $(VENV)/.ready-dev ## Write docs/openapi.json, asyncapi.json and events.md anew
	@$(BIN)/python -m lookstream.contracts docs

servers: $(VENV)/.ready-dev ## Build Apache Kafka, MinIO and FerretDB for the tests, once
	@$(BIN)/python -m deploy.local build

train-garment: $(VENV)/.ready-dev ## Train the shipped network anew from $LOOKSTREAM_DATA
	@$(BIN)/python -m training.train --out agents/vision/weights/garment-net-1.safetensors

train-landmarks: $(VENV)/.ready-dev ## Train the landmark network anew from drawn garments
	@$(BIN)/python -m training.train_landmarks --out agents/vision/weights/landmark-net-1.safetensors

benchmark: $(VENV)/.ready-dev ## The pipeline against its own compute floor
	@$(BIN)/python -m benchmarks.pipeline

clean: ## Remove the virtual environment and caches; data stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build *.egg-info
