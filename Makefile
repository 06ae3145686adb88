# Two commands: `make repro` runs the pipeline, `make test` checks everything. Both set up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Nothing here phones home, and plots need no screen.
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1
export MPLBACKEND := Agg
export NO_MKDOCS_2_WARNING := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)

# A copied or moved checkout brings an environment that runs the sources of the original.
INSTALLED := $(shell cat $(VENV)/lib/python*/site-packages/*slackwater*.pth 2>/dev/null)
ifeq ($(filter clean lock,$(MAKECMDGOALS)),)
ifneq ($(INSTALLED),)
ifneq ($(shell test "$(INSTALLED)" -ef src && echo here),here)
$(error .venv was made for $(INSTALLED) and would run those sources, not these: run `make clean`, then this command again)
endif
endif
endif

.PHONY: repro quick experiments test tests lint deps setup ui docs dist bench bench-scale campaigns faults lock clean

repro: deps
	python -m pipelines._repro

# A first look: the whole pipeline on a small SYNTHETIC market. It writes `dataset: quick` into params.yaml.
quick: deps
	dvc exp run -S dataset=quick
	@slackwater inspect
	@echo 'Open reports/index.html. `dvc exp run -S dataset=simulated` runs the default market, and chooses it again.'

# Runs and experiments side by side, without the hundreds of parameters that `dvc exp show` adds.
COLUMNS := Experiment|Created|reports/headline.json:dataset|verdict|direction_auc(_low|_price_only)?$$|max_drawdown|trades$$
COLUMNS := $(COLUMNS)|unit_risk_(trades|net_bps|net_bps_low)$$
experiments: $(STAMP)
	dvc exp show --drop '.*' --keep '$(COLUMNS)'

# The code rows of `deps` in dvc.yaml, from the imports and from `features.extra` in params.yaml.
deps: $(STAMP)
	python -m pipelines._deps

# Side by side: types are checked by one process, and the first tests wait for kernels that another one compiles.
test: $(STAMP)
	$(MAKE) --jobs 2 lint tests

tests: $(STAMP)
	pytest --numprocesses auto --maxprocesses 4 --dist worksteal

lint: $(STAMP)
	ruff check .
	ruff format --check .
	mypy
	lint-imports

setup: $(STAMP)

# uv is fast; where it cannot be had, pip installs the same hashed lock.
$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "slackwater needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	if $(BIN)/python -m pip install --quiet --disable-pip-version-check uv; then \
		$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock && \
		$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	else \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
	touch $@

PORT ?= 5000
ui: $(STAMP)
	@python -m pipelines._ui $(PORT)

# The site of the documentation, in site/; it is read without a network, from the disk too.
docs: $(STAMP)
	mkdocs build --strict --quiet
	@echo 'Open site/index.html.'

# Wheel, source archive and bill of materials; a test installs both packages into an empty environment.
dist: $(STAMP)
	rm -rf dist build
	python -m hatchling build -d dist
	python -m pipelines._sbom build/sbom.cdx.json
	pytest tests/pipeline/test_distribution.py --numprocesses 0

bench: $(STAMP)
	pytest benchmarks -p no:randomly -s

# Workers beside one process, and the cost of more symbols: an hour or more; it can be stopped and continued.
bench-scale: $(STAMP)
	python -m benchmarks.bench_scale

# Long runs over many seeds; their results are committed beside them.
campaigns: $(STAMP)
	python -m campaigns.stylised_facts
	python -m campaigns.simulated_market
	python -m campaigns.promotions
	python -m campaigns.archive_faults
	python -m campaigns.interval_coverage
	python -m campaigns.paper_trading
	python -m campaigns.equal_bytes

# Kills, full disks, little memory, locks and clocks, in a small copy of the repository; it can be stopped and continued.
faults: $(STAMP)
	python -m campaigns.faults

# The lock: hashes of every file, and no registry host.
lock:
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes --no-header -o requirements.lock

clean:
	rm -rf $(VENV) dist build site .pytest_cache .mypy_cache .ruff_cache .hypothesis
