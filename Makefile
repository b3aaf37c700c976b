# Everything a user or CI runs. Each target sets up .venv first, which takes no time when it is
# up to date.

CXR := .venv/bin/cxr
PYTHON := .venv/bin/python
NAME ?= training
# Processes that run tests; each needs two gigabytes.
WORKERS ?= 2

.PHONY: help demo test lint format benchmark image clean

help:
	@echo "make demo       run the whole pipeline on synthetic chest X-rays"
	@echo "make test       run all the tests, the linters and the type checker"
	@echo "make benchmark  measure the Trainer against the notebook recipe; NAME=embedded_server,"
	@echo "                embedding, evaluation, explain, fine_tuning, grad_cam_report, ingest,"
	@echo "                input_sanity, near_duplicates or serving_latency for the others"
	@echo "make image      build the container image"

.PHONY: setup
setup:
	@tools/setup

demo: setup
	$(CXR) run demo

test: setup lint
	@tools/browser
	$(PYTHON) -m pytest --numprocesses=$(WORKERS) --dist=loadgroup --no-loadscope-reorder

lint: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

format: setup
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

benchmark: setup
	$(PYTHON) -m tests.benchmarks.$(NAME)

image:
	docker build --file Containerfile --tag cxr:latest .

clean:
	rm -rf .venv .uv
