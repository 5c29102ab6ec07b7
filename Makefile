# Two commands do all the set-up: `make sweep` runs the main job, `make test` passes all tests.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
STUDY ?=
TESTERS ?= 2
# A file's tests share its fixtures; files come in the order of tests/conftest.py.
SHARE = --dist loadfile --no-loadscope-reorder
QUICK = tests/foundation/config tests/foundation/files tests/eval/metrics tests/sweeper/search tests/sweeper/records \
  tests/sweeper/study tests/sweeper/results tests/test_architecture.py tests/test_dependencies.py tests/test_docs.py
IN_SERVERS = tests/sweeper/test_shared_services.py tests/sweeper/launchers/test_many_nodes.py
LOWEST = .venv-lowest
LOWEST_READY = $(LOWEST)/.ready
IN_LOWEST = $(QUICK) tests/foundation tests/sweeper/tracking tests/sweeper/test_study.py tests/train/test_pack.py \
  tests/train/test_adapter_kinds.py tests/train/test_ema.py tests/train/test_families.py tests/train/test_optimizers.py

.DEFAULT_GOAL := help
.PHONY: help sweep test test-servers test-lowest quick check dashboard clean

help:
	@echo "make sweep         set up, then run the pencil study on the embedded base (about five minutes on two cores)"
	@echo "make test          set up, then ruff, mypy, import-linter and pytest"
	@echo "make test-servers  set up, then the five tests that end nodes of a cluster and servers, some five minutes"
	@echo "make test-lowest   set up the oldest libraries that pyproject.toml allows in .venv-lowest, then some of the tests in it"
	@echo "make quick         set up, then the tests that train next to nothing"
	@echo "make check         ruff, mypy and import-linter"
	@echo "make dashboard     show all studies on a page on 127.0.0.1, and in MLflow"
	@echo "sweeper clean      (in .venv/bin) show what old studies hold on the disk, and free what nobody needs"
	@echo "make clean         remove the environment and caches; studies in multirun/ stay"

sweep: $(READY)
	$(BIN)/sweeper +experiment=pencil $(STUDY)

dashboard: $(READY)
	$(BIN)/sweeper dashboard

test: check
	$(BIN)/python -m pytest --numprocesses $(TESTERS) $(SHARE)

test-lowest: $(LOWEST_READY)
	$(LOWEST)/bin/python -m pytest --numprocesses $(TESTERS) $(SHARE) $(IN_LOWEST)

# One after another, with nothing beside: each ends nodes or servers, and waits for what comes of it.
test-servers: $(READY)
	SWEEPER_SERVERS=1 $(BIN)/python -m pytest $(IN_SERVERS)

quick: $(READY)
	$(BIN)/python -m pytest --numprocesses $(TESTERS) $(SHARE) $(QUICK)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# Of what we depend on the lowest, of what that depends on the newest.
$(LOWEST_READY): pyproject.toml
	$(PYTHON) -m venv $(LOWEST)
	sed -n 's/^    "\([a-z-]*\)>=\([0-9.]*\)",.*/\1==\2/p' pyproject.toml > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet --constraint $(LOWEST)/constraints.txt torch
	$(LOWEST)/bin/python -m pip install --quiet --constraint $(LOWEST)/constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) $(LOWEST) *.egg-info build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
