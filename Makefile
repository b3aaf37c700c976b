# Everything a user or CI runs. Each target sets up .venv first, which takes no time when it is
# up to date.

CXR := .venv/bin/cxr
PYTHON := .venv/bin/python
# As tools/setup finds or installs it.
UV = $(shell command -v uv || echo .uv/bin/uv)
NAME ?= training
BENCHMARKS := $(filter-out __init__ processes,$(basename $(notdir $(wildcard tests/benchmarks/*.py))))
# Processes that run tests; each needs two gigabytes.
WORKERS ?= 2
# Of the container image; TARGET is empty for the nodes of the pipeline.
IMAGE ?= cxr:latest
VARIANT ?= cpu
TARGET ?=

.PHONY: help demo test test-flink lint format benchmark docs notebooks hooks audit sbom licences image clean

help:
	@echo "make demo       run the whole pipeline on synthetic chest X-rays"
	@echo "make test       run all the tests, the linters and the type checker"
	@echo "make test-flink run Beam's nodes on Flink, which takes Java and Maven Central"
	@echo "make lint       the linters and the type checker alone; make format mends what it can"
	@echo "make benchmark  measure one of tests/benchmarks, with NAME=:"
	@echo $(BENCHMARKS) | fold -s -w 78 | sed 's/^/                /'
	@echo "make notebooks  open the notebooks in JupyterLab; make hooks lints before each commit"
	@echo "make docs       write the documentation's site to dist/site"
	@echo "make audit      ask for known vulnerabilities; make sbom, make licences"
	@echo "make image      build the container image; VARIANT=cuda for GPUs, TARGET=beam for Beam's"
	@echo "                workers, IMAGE=name:tag for another name"
	@echo "make clean      remove .venv and .uv"

.PHONY: setup
setup:
	@tools/setup

demo: setup
	$(CXR) run demo

test: setup lint
	@tools/browser
	$(PYTHON) -m pytest --numprocesses=$(WORKERS) --dist=loadgroup --no-loadscope-reorder

# Flink itself is 232 MB: the other targets do not ask for it, and take it out of .venv again.
test-flink:
	@CXR_GROUPS=flink tools/setup
	CXR_FLINK=required $(PYTHON) -m pytest tests/beam

lint: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache
	.venv/bin/deptry .
	.venv/bin/hadolint Containerfile

format: setup
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

benchmark: setup
	$(PYTHON) -m tests.benchmarks.$(NAME)

docs: setup
	$(PYTHON) -m tools.reference
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --quiet

notebooks: setup
	$(UV) pip install --quiet --python $(PYTHON) jupyterlab
	.venv/bin/jupyter lab notebooks

hooks: setup
	$(UV) tool run pre-commit install

audit sbom licences: setup
	@tools/supply_chain $@

image:
	docker build --file Containerfile --build-arg VARIANT=$(VARIANT) $(TARGET:%=--target %) --tag $(IMAGE) .

clean:
	rm -rf .venv .uv
