"""Write the reference pages that follow from the code: every setting, every command.

usage: python -m tools.reference [FOLDER]      called by `make docs`; by default docs/reference
"""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import docstring_parser
import pydantic_core
import yaml

from components.settings import Settings
from pipeline.cli import cli
from pipeline.config import Config, experiment_names, load_config

# Of help, whatever the terminal.
_WIDTH = 88
# What the file's own path says.
_FOUND = ("file",)
_WRITTEN = "Written by `make docs` from the code; do not edit it here.\n"


def configuration() -> str:
    """Every setting: its type, its default, what it means; and what each experiment sets."""
    lines = [
        "# Configuration",
        "",
        _WRITTEN,
        "An experiment is a YAML file of these settings, checked before anything starts: one that",
        "comes with the project, or the path of your own. `--set key.subkey=value` changes one,",
        "the value in YAML. `data.datasets` and `evaluator.min_auc` must be given; `name` is by",
        "default the file's.",
        "",
    ]
    for place, model in _sections(Config, ()):
        lines += _table(place, model)
    lines += ["## The experiments", ""]
    lines += [f"- **{name}**: {load_config(name).description}" for name in experiment_names()]
    return "\n".join(lines) + "\n"


def commands() -> str:
    """What `--help` says of each command."""
    lines = ["# Commands", "", _WRITTEN]
    for path, command in _commands(["cxr"], cli):
        with click.Context(
            command,
            info_name=" ".join(path),
            terminal_width=_WIDTH,
            **cli.context_settings,
        ) as context:
            usage = command.get_help(context)
        lines += [
            f"{'#' * min(len(path) + 1, 3)} {' '.join(path)}",
            "",
            "```text",
            usage,
            "```",
            "",
        ]
    return "\n".join(lines)


def write(folder: Path) -> None:
    """Write both pages."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "configuration.md").write_text(configuration())
    (folder / "commands.md").write_text(commands())


def _sections(
    model: type[Settings], place: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], type[Settings]]]:
    yield place, model
    for name, field in model.model_fields.items():
        inner, is_mapping = _settings_in(field.annotation)
        if inner is not None:
            yield from _sections(inner, (*place, name, "NAME") if is_mapping else (*place, name))


def _settings_in(annotation: Any) -> tuple[type[Settings] | None, bool]:
    """The `Settings` in an annotation, and whether they are the values of a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation, False
    is_mapping = typing.get_origin(annotation) is dict
    for argument in typing.get_args(annotation):
        inner, deeper = _settings_in(argument)
        if inner is not None:
            return inner, is_mapping or deeper
    return None, False


def _table(place: tuple[str, ...], model: type[Settings]) -> list[str]:
    # A section may inherit settings: their meaning stands where they are declared.
    meanings = {
        parameter.args[1]: parameter.description or ""
        for declared in reversed(model.__mro__)
        if issubclass(declared, Settings)
        for parameter in docstring_parser.parse(declared.__doc__ or "").params
    }
    rows = []
    for name, field in model.model_fields.items():
        inner, _ = _settings_in(field.annotation)
        if (*place, name) == _FOUND:
            continue
        if inner is not None and typing.get_origin(field.annotation) is not dict:
            several = "list of what is below" if _is_list(field.annotation) else "see below"
            shown, default = (
                several,
                "" if field.is_required() or field.default is not None else "`null`",
            )
        else:
            shown = ", ".join([_type(field.annotation), *_limits(field.metadata)])
            default = "required" if field.is_required() else f"`{_plain(field.get_default())}`"
        meaning = " ".join(meanings[name].split())
        rows.append(f"| `{name}` | {_cell(shown)} | {_cell(default)} | {_cell(meaning)} |")
    summary = docstring_parser.parse(model.__doc__ or "").short_description or ""
    return [
        f"## `{'.'.join(place)}`" if place else "## The whole",
        "",
        summary,
        "",
        "| setting | type | default | meaning |",
        "|---|---|---|---|",
        *rows,
        "",
    ]


def _is_list(annotation: Any) -> bool:
    if typing.get_origin(annotation) in (list, tuple):
        return True
    return any(map(_is_list, typing.get_args(annotation)))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _plain(value: Any) -> str:
    """A default as one would write it in YAML."""
    plain = pydantic_core.to_jsonable_python(value)
    return yaml.safe_dump(plain, default_flow_style=True, width=1000).removesuffix("...\n").strip()


def _type(annotation: Any) -> str:
    """A type in the words of a user of YAML."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is type(None):
        return "null"
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is typing.Literal:
        return ", ".join(f"`{_plain(one)}`" for one in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(one) for one in arguments))
    if origin in (list, tuple, set, frozenset):
        inner = dict.fromkeys(_type(one) for one in arguments if one is not Ellipsis)
        return f"list of {', '.join(inner)}"
    if origin is dict or (origin is not None and issubclass(origin, typing.Mapping)):
        return f"mapping of {_type(arguments[0])} to {_type(arguments[1])}"
    names = {bool: "true or false", int: "integer", float: "number", str: "text"}
    return names.get(annotation) or getattr(annotation, "__name__", str(annotation)).lower()


def _limits(metadata: Iterable[Any]) -> Iterator[str]:
    for sign, limit in {"≥": "ge", ">": "gt", "≤": "le", "<": "lt"}.items():
        yield from (f"{sign} {getattr(one, limit)}" for one in metadata if hasattr(one, limit))


def _commands(path: list[str], command: click.Command) -> Iterator[tuple[list[str], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path[-1])
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _commands([*path, name], inner)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs/reference")
