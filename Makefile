# Two commands for newcomers: `make up` and `make test`. `make help` lists the rest.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Of the tests: as many as two cores bear; three make browsers and brokers late. One where servers
# are lent, since each would run a whole Lookstream on them. A process that crashes ends the run: with
# another one in its place, pytest-xdist waits forever.
PROCESSES ?= $(if $(LOOKSTREAM_TEST_KAFKA)$(LOOKSTREAM_TEST_ARTIFACTS)$(LOOKSTREAM_TEST_JOBS),0,2)
PYTEST_ARGS ?=
TRAINED ?= build/trained
# Without these glibc hands every large tensor's memory back at once, and half the time is the kernel's.
TRAIN := OMP_WAIT_POLICY=PASSIVE MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1000000000000 \
	MALLOC_TOP_PAD_=268435456 MALLOC_ARENA_MAX=2 $(BIN)/python -m

.DEFAULT_GOAL := help
.PHONY: help up test check format client contracts servers train train-net train-second train-mask train-titles train-items train-thresholds train-landmarks eyes benchmark hostile broken-images faults clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(VENV)/.ready: pyproject.toml client/pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (torch is large: a minute or two) …"
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 13) else f"Python 3.11 or 3.12 is needed, this is {v[0]}.{v[1]}; try: make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --editable ./client --editable '.[all]'
	@test -x $(BIN)/lookstream || $(PIP) --force-reinstall --no-deps --editable ./client
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	@$(PIP) --editable ./client --editable '.[all,dev,training]'
	@touch $@

up: $(VENV)/.ready ## Run everything: page and API on http://127.0.0.1:8000
	@exec $(BIN)/lookstream up

test: $(VENV)/.ready-dev ## All tests; real servers too where Java, Maven and Go are there
	@echo "Running the tests in $(if $(filter 0,$(PROCESSES)),one process,$(PROCESSES) processes (PROCESSES=0: in one)) …"
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist loadgroup --no-loadscope-reorder --max-worker-restart 0 $(PYTEST_ARGS)

check: $(VENV)/.ready-dev ## Style, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tools/generate_client.py --check

format: $(VENV)/.ready-dev ## Put the code in shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

client: $(VENV)/.ready-dev ## Generate the synchronous client from the asynchronous one
	@$(BIN)/python tools/generate_client.py

contracts: $(VENV)/.ready-dev ## Write docs/openapi.json, asyncapi.json and events.md anew
	@$(BIN)/python -m lookstream.contracts docs

servers: $(VENV)/.ready-dev ## Build Apache Kafka, MinIO and FerretDB for the tests, once
	@$(BIN)/python -m deploy.local build

train: $(TRAINED)/thresholds.json $(TRAINED)/colours.json $(TRAINED)/mask.safetensors $(TRAINED)/title.safetensors $(TRAINED)/parts.safetensors ## Train the shipped networks further with $LOOKSTREAM_DATA
	@$(TRAIN) training.calibration.pack --net $(TRAINED)/net.safetensors --second $(TRAINED)/second.safetensors \
		--mask $(TRAINED)/mask.safetensors --title $(TRAINED)/title.safetensors --parts $(TRAINED)/parts.safetensors \
		--thresholds $(TRAINED)/thresholds.json --colours $(TRAINED)/colours.json \
		--out agents/vision/weights/garment-3.safetensors

train-net: $(TRAINED)/net.safetensors ## … the encoder and its heads; run again to resume after a stop
train-second: $(TRAINED)/second.safetensors ## … the second network's new words, and the blend of both networks
train-mask: $(TRAINED)/mask.safetensors ## … the garment mask
train-titles: $(TRAINED)/title.safetensors ## … the title network
train-items: $(TRAINED)/parts.safetensors ## … the parts network, which separates the garments of a photo
train-thresholds: $(TRAINED)/thresholds.json ## … the probabilities from which words are named

# Existing files are not trained again: remove $(TRAINED) to start from the shipped weights.
# docs/models.md describes how the shipped weights were trained.
$(TRAINED)/net.safetensors: | $(VENV)/.ready-dev
	@mkdir -p $(TRAINED)
	@$(TRAIN) training.trainers.real_train --folder $(TRAINED)/real
	@cp $(TRAINED)/real/net.safetensors $@

$(TRAINED)/second.safetensors: | $(TRAINED)/net.safetensors
	@$(TRAIN) training.calibration.real_blend --net $(TRAINED)/net.safetensors --out $@

$(TRAINED)/mask.safetensors: | $(TRAINED)/net.safetensors
	@$(TRAIN) training.trainers.train_parts --net $(TRAINED)/net.safetensors --out $@

$(TRAINED)/title.safetensors: | $(TRAINED)/second.safetensors
	@$(TRAIN) training.trainers.train_titles --net $(TRAINED)/net.safetensors --second $(TRAINED)/second.safetensors --out $@

$(TRAINED)/parts.safetensors: | $(TRAINED)/net.safetensors
	@$(TRAIN) training.trainers.train_items --net $(TRAINED)/net.safetensors --out $@

$(TRAINED)/thresholds.json: | $(TRAINED)/second.safetensors
	@$(TRAIN) training.calibration.calibrate --net $(TRAINED)/net.safetensors --second $(TRAINED)/second.safetensors --out $@

$(TRAINED)/colours.json: | $(TRAINED)/second.safetensors
	@$(TRAIN) training.calibration.tune_colours --net $(TRAINED)/net.safetensors --second $(TRAINED)/second.safetensors --out $@

train-landmarks: $(VENV)/.ready-dev ## … the landmark network, from drawn garments
	@$(TRAIN) training.landmarks.train_landmarks --out agents/vision/weights/landmark-net-1.safetensors

eyes: $(VENV)/.ready-dev ## Draw the results for 24 photos that were not used in training: eyes.png (options: EYES="…")
	@$(BIN)/python -m training.scoring.eyes $(EYES)

benchmark: $(VENV)/.ready-dev ## Compare the pipeline with the time of its computations alone
	@$(BIN)/python -m benchmarks.pipeline

broken-images: $(VENV)/.ready-dev ## Decode 5,000 broken images; print what became of them (10 minutes)
	@$(BIN)/python -m benchmarks.robustness.broken_images

hostile: $(VENV)/.ready-dev ## Attack a running system; print what each attack costs (20 minutes)
	@$(BIN)/python -m benchmarks.robustness.hostile --before benchmarks/robustness/hostile-before.json

faults: $(VENV)/.ready-dev ## Break every server and process while 1,000 photos run; count losses (25 minutes)
	@$(BIN)/python -m benchmarks.robustness.faults

clean: ## Remove the virtual environment and caches; data stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build *.egg-info client/build client/*.egg-info
