# Every target but help and clean first makes sure of the environment in .venv,
# or of the one in .venv-onedl where LINE=onedl.
PYTHON ?=
LINE ?= openmmlab
JOBS ?= 2
export PYTHON LINE

run := .venv$(patsubst %,-%,$(filter onedl,$(LINE)))/bin/python

.PHONY: help setup demo test lint docs clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## */  make \1\t/p' Makefile | expand -t 16
	@echo
	@echo '  PYTHON=python3.12 chooses the Python, ARGS="..." goes to the'
	@echo '  demo or to pytest, JOBS=2 is the number of test processes.'
	@echo '  LINE=onedl does it all with the packages of OneDL.'

setup:  ## make the environment in .venv (once 3-10 minutes, then at once)
	@tools/setup.sh

demo: setup  ## train and show open-vocabulary segmentation on the CPU
	@$(dir $(run))freeseg-mm demo $(ARGS)

# One thread a process: two processes share two cores. Files with slow tests come
# first (tests/conftest.py).
test: setup  ## run the tests
	@OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 \
	$(run) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: setup  ## check style, types and spelling
	@$(run) -m ruff check .
	@$(run) -m ruff format --check .
	@$(run) -m mypy
	@$(run) -m codespell_lib

docs: setup  ## build the site of docs/ into build/docs
	@$(run) -m mkdocs build -f docs/site/mkdocs.yml
	@echo 'the site is build/docs/index.html'

clean:  ## delete what builds, tests and linters leave; keeps .venv and data
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
	rm -f setup.log .coverage
	find freeseg_mm configs tools tests -name __pycache__ -prune \
	  -exec rm -rf {} +
