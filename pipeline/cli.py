"""The `cxr` command."""

from __future__ import annotations

import importlib
import sys

import click

from components.disclaimer import DISCLAIMER
from components.errors import InputError

# Subcommands are imported when they are used: TFX alone takes ten seconds to import.
_COMMANDS = {
    "run": ("pipeline.commands.run", "Run an experiment: from files to a pushed model."),
    "data": ("pipeline.commands.data", "Get, make or look at a dataset."),
    "predict": ("pipeline.commands.predict", "Classify X-rays with a trained model."),
    "drift": ("pipeline.commands.drift", "Compare a served model's requests with its training."),
