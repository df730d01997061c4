# One verb per chore; .ci/run calls the same ones.
PYTHON ?= python3
CONFIG ?= amal
MAP ?= 3m

.PHONY: help install run test test-long lint types check format bench clean

help:           ## this list
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/: *[a-z ]*## */\t/' | expand -t 14

install:        ## everything for work on the project, into the active environment
	bash install_dependencies.sh --test

run:            ## train: make run CONFIG=mappo MAP=8m
	$(PYTHON) src/main.py --config=$(CONFIG) --env-config=sc2 with env_args.map_name=$(MAP)

test:           ## the default tests
	$(PYTHON) -m pytest

test-long:      ## the tests that take more than 20 seconds each
	$(PYTHON) -m pytest -m long

lint:           ## ruff
	$(PYTHON) -m ruff check .

types:          ## mypy
	$(PYTHON) -m mypy

check: lint types test  ## lint, types and tests

format:         ## mend what ruff can mend by itself
	$(PYTHON) -m ruff check --fix .

bench:          ## speed measurements, on an idle machine
	@for file in tests/benchmarks/bench_*.py; do echo "== $$file"; PYTHONPATH=src $(PYTHON) $$file || exit 1; done

clean:          ## caches and compiled files; results stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests -type d -name __pycache__ -prune -exec rm -rf {} +
