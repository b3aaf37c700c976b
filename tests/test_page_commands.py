"""What README and the pages tell a user to type is what the commands and the settings take."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import click
import pytest

from pipeline.cli import cli
from pipeline.config import load_config
from tests.pages import ROOT, Command, commands_of

COMMANDS = [
    command
    for page in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    # The commands of that page are for a project with what it adds.
    if page.name != "extend.md"
    for command in commands_of(page)
]


# What is of elsewhere: the shell's own, and the tools of stores and servers.
ELSEWHERE = {"source", "export", "cp", "curl", "aws"}


def _only(*programs: str) -> list[Command]:
    return [command for command in COMMANDS if command.words[0] in programs]


@pytest.mark.parametrize("command", _only("cxr"), ids=str)
def test_the_command_takes_these_options_and_settings(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a page's user has is not here.
    monkeypatch.setattr(click.Path, "convert", lambda _self, value, *_: Path(value))
    given = _parsed(command)
    experiments = given.get("experiments") or [given.get("experiment")]
    if "overrides" in given:
        for experiment in experiments:
            # A user's own file is a copy of one that is here.
            own = str(experiment).endswith(".yaml")
            load_config("pediatric" if own else experiment, given["overrides"])


def _parsed(command: Command) -> dict[str, Any]:
    found: click.Command = cli
    _, *words = command.words
    while isinstance(found, click.Group):
        name, *words = words
        inner = found.get_command(click.Context(found), name)
        assert inner is not None, f"no such command: {name}"
        found = inner
    try:
        with found.make_context(found.name, words) as context:
            return context.params
    except click.UsageError as error:
        pytest.fail(f"{command}\n{error.format_message()}")


def test_every_command_is_looked_at() -> None:
    own = {"cxr", "make", "docker", "kubectl", "python", ".venv/bin/python"}
    assert {command.words[0] for command in COMMANDS} <= own | ELSEWHERE


@pytest.mark.parametrize("command", _only("python", ".venv/bin/python"), ids=str)
def test_the_modules_and_tests_are_in_the_project(command: Command) -> None:
    _, flag, module, *arguments = command.words
    assert flag == "-m"
    assert importlib.util.find_spec(module), module
    for word in arguments:
        if word.startswith("tests/"):
            assert (ROOT / word).exists(), word


@pytest.mark.parametrize("command", _only("make"), ids=str)
def test_the_makefile_has_the_target(command: Command) -> None:
    targets = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    wanted = {word for word in command.words[1:] if "=" not in word}
    assert wanted
    assert wanted <= set(" ".join(targets).split())


@pytest.mark.parametrize("command", _only("docker", "kubectl"), ids=str)
def test_the_files_are_in_the_project(command: Command) -> None:
    for word in command.words:
        if word.startswith(("pipeline/", "serving/")):
            assert (ROOT / word).exists(), word
