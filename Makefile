# Everything a user or CI runs. Each target sets up .venv first, which takes no time when it is
# up to date.

CXR := .venv/bin/cxr
PYTHON := .venv/bin/python
NAME ?= training
# Processes that run tests; each needs two gigabytes.
WORKERS ?= 2
# Of the container image; TARGET is empty for the nodes of the pipeline.
IMAGE ?= cxr:latest
VARIANT ?= cpu
TARGET ?=

.PHONY: help demo test test-flink lint format benchmark docs audit sbom licences image clean

help:
	@echo "make demo       run the whole pipeline on synthetic chest X-rays"
	@echo "make test       run all the tests, the linters and the type checker"
	@echo "make test-flink run Beam's nodes on Flink, which takes Java and Maven Central"
	@echo "make benchmark  measure the Trainer against the notebook recipe; NAME=embedded_server,"
	@echo "                embedding, evaluation, explain, fine_tuning, grad_cam_report, ingest,"
	@echo "                input_sanity, near_duplicates or serving_latency for the others"
	@echo "make docs       write the documentation's site to dist/site"
	@echo "make audit      ask for known vulnerabilities; make sbom, make licences"
	@echo "make image      build the container image; VARIANT=cuda for GPUs, TARGET=beam for Beam's"
	@echo "                workers, IMAGE=name:tag for another name"

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

audit sbom licences: setup
	@tools/supply_chain $@

image:
	docker build --file Containerfile --build-arg VARIANT=$(VARIANT) $(TARGET:%=--target %) --tag $(IMAGE) .

clean:
	rm -rf .venv .uv
