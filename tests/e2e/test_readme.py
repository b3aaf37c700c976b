"""Every command of README is run: on a finished run, or up to where a run would start."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from components.example_gen.synthetic.layouts import synthesize
from pipeline.config import experiment_names
from tests.e2e.conftest import Workspace
from tests.e2e.readme.before_a_run import BEFORE_A_RUN
from tests.e2e.readme.on_a_run import FILM, FOLDERS, ON_A_RUN, PLACEHOLDERS
from tests.e2e.readme.terminal import Run, Terminal
from tests.pages import README, Command, commands_of

COMMANDS = commands_of(README)
_RUN = re.compile(rf"^(runs/)?({'|'.join(experiment_names())})(?=/|$)")


@pytest.fixture
def terminal(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Terminal:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    return Terminal(monkeypatch, capfd)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both datasets, and a table of the second with a clinic's own column names."""
    folder = tmp_path_factory.mktemp("data")
    for dataset in ("pediatric", "nih"):
        synthesize(dataset, images=40, out=folder, seed=1)
    (table,) = (folder / "nih").glob("Data_Entry*.csv")
    text = table.read_text()
    for name, own in (
        ("Image Index", "file"),
        ("Finding Labels", "diagnosis"),
        ("Patient ID", "subject"),
    ):
        text = text.replace(name, own, 1)
    (folder / "nih/mine.csv").write_text(text)
    return folder


def _known(command: Command, table: dict[str, Run]) -> list[str]:
    return [prefix for prefix in table if command.starts(prefix)]


def _of(table: dict[str, Run]) -> list[Command]:
    return [command for command in COMMANDS if _known(command, table)]


def test_every_command_is_run_by_a_test() -> None:
    unknown = [str(one) for one in COMMANDS if len(_known(one, ON_A_RUN | BEFORE_A_RUN)) != 1]
    assert not unknown, (
        f"No test runs {unknown}: add the command's first words, and a function that runs it, to "
        f"ON_A_RUN or BEFORE_A_RUN in tests/e2e/readme"
    )
    assert COMMANDS


@pytest.mark.parametrize("command", _of(BEFORE_A_RUN), ids=str)
def test_before_any_run(command: Command, terminal: Terminal, data: Path) -> None:
    Path("data").symlink_to(data)
    (prefix,) = _known(command, BEFORE_A_RUN)
    BEFORE_A_RUN[prefix](terminal, ["data" if word == "DIR" else word for word in command.words])


@pytest.mark.slow
@pytest.mark.usefixtures("first_run")
@pytest.mark.parametrize("command", _of(ON_A_RUN), ids=str)
def test_on_a_finished_run(command: Command, terminal: Terminal, workspace: Workspace) -> None:
    Path("runs").mkdir()
    Path("runs/demo").symlink_to(workspace.folder / "runs/demo")
    films = sorted((workspace.folder / "data/chest_xray/test").rglob("*.jpeg"))
    shutil.copy(films[0], FILM)
    for number, folder in enumerate(FOLDERS, 1):
        Path(folder).mkdir()
        for film in films[number : number + 2]:
            shutil.copy(film, folder)
    (prefix,) = _known(command, ON_A_RUN)
    words = [PLACEHOLDERS.get(word, word) for word in command.words]
    ON_A_RUN[prefix](terminal, [_RUN.sub(r"\1demo", word) for word in words])
