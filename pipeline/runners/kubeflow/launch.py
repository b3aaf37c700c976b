"""What runs in the container of every node on open-source Kubeflow Pipelines.

    python -m pipeline.runners.kubeflow.launch --node Trainer --executor_class_path ...

It takes the arguments of TFX's own entry point and runs TFX's executor, see `invocation` for what
is between; and it applies what the run changes of the experiment, see `rebuild`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from absl import app
from absl.flags import argparse_flags

from components.disclaimer import DISCLAIMER
from components.errors import find_mistake
from components.verdict.executor import OUTPUT_URI
from components.verdict.run_folder import RunFolder
from components.verdict.verdict import Failure
from pipeline.runners.kubeflow.invocation import Json, LocalInvocation, globalize, localize
from pipeline.runners.kubeflow.processors import within_limit
from pipeline.runners.kubeflow.runtime import RuntimeSettings, take_runtime_settings

EXIT_FAILURE, EXIT_INPUT = 1, 2
PUSHER = "Pusher"
# A folder before those in which KFP's launcher keeps its copies; only tests set it.
MOUNTS = "CXR_KFP_MOUNTS"
_LONGEST_MESSAGE = 2000


def parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The arguments, and those for Beam."""
    parser = argparse_flags.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--node", required=True)
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args", default="{}")
    parser.add_argument("--json_serialized_outputs_spec_args", required=True)
    return parser.parse_known_args(list(argv)[1:])


def main(parsed: tuple[argparse.Namespace, list[str]]) -> int:
    """Run a node; returns the exit code."""
    args, beam_args = parsed
    task: Json = json.loads(args.json_serialized_invocation_args)
    try:
        launch(args, beam_args, task)
    except Exception as error:
        mistake = find_mistake(error)
        if mistake is None:
            traceback.print_exc()
            message = f"{type(error).__name__}: {error}"
        else:
            message = str(mistake)
        print(f"{args.node}: {message}\n{DISCLAIMER}", file=sys.stderr, flush=True)
        leave_note(task, Failure(task=args.node, message=message[:_LONGEST_MESSAGE]))
        return EXIT_FAILURE if mistake is None else EXIT_INPUT
    return 0


def launch(args: argparse.Namespace, beam_args: list[str], task: Json) -> None:
    """Run TFX's executor on KFP's task.

    Args:
      args: see `parse`.
      beam_args: for Beam.
      task: KFP's `ExecutorInput`.

    Raises:
      InputError: if what the run changes of the experiment cannot be changed, or a model would
        be pushed to where another root's models are.
    """
    settings = take_runtime_settings(task)
    if args.node == PUSHER and not settings.serving_root:
        from pipeline.runners.kubeflow.experiment import ENV, check_root

        check_root(os.environ.get(ENV, ""), RunFolder.of_output(_first_output(task), PUSHER).root)
    if settings != RuntimeSettings():
        # Here, since most nodes are spared the import of all the others.
        from pipeline.runners.kubeflow.experiment import ENV
        from pipeline.runners.kubeflow.rebuild import changed_parameters

        changed = changed_parameters(os.environ.get(ENV, ""), settings, args.node)
        task["inputs"]["parameterValues"] |= changed
    _tell_output_uri(task)
    local = localize(
        task,
        json.loads(args.json_serialized_inputs_spec_args),
        json.loads(args.json_serialized_outputs_spec_args),
        mounts=os.environ.get(MOUNTS, ""),
    )
    _prepare_folders(local)
    output_file = Path(task["outputs"]["outputFile"])
    # KFP never meets a file that is half written, and TFX takes one that is there for a driver's.
    aside = output_file.with_name(f"{output_file.name}.tfx")
    for file in (output_file, aside):
        file.unlink(missing_ok=True)
    local.executor_input["outputs"]["outputFile"] = str(aside)
    args.json_serialized_invocation_args = json.dumps(local.executor_input)
    # Here, since a mistake in the run's settings is told before seconds of imports.
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

    kubeflow_v2_run_executor._run_executor(args, within_limit(beam_args))
    output = globalize(json.loads(aside.read_text()), local.uris)
    aside.write_text(json.dumps(output))
    aside.rename(output_file)


def leave_note(task: Json, failure: Failure) -> None:
    """Leave in the run's folder why a node failed, for the exit handler: KFP does not tell it."""
    try:
        from tfx.dsl.io import fileio

        note = RunFolder.of_output(_first_output(task), failure.task).failure(failure.task)
        fileio.makedirs(note.rpartition("/")[0])
        with fileio.open(note, "wb") as file:
            file.write(failure.model_dump_json().encode())
    except Exception as error:  # the failure itself was told already
        print(f"no note of the failure could be left: {error}", file=sys.stderr, flush=True)


def _first_output(task: Json) -> str:
    artifacts = next(iter(task["outputs"]["artifacts"].values()))
    return str(artifacts["artifacts"][0]["uri"])


def _tell_output_uri(task: Json) -> None:
    """Tell the exit handler where its output goes, which it looks for others beside."""
    parameters = task.get("inputs", {}).get("parameterValues", {})
    if OUTPUT_URI in parameters:
        parameters[OUTPUT_URI] = _first_output(task)


def _prepare_folders(local: LocalInvocation) -> None:
    """Make the folders that KFP's launcher did not."""
    for path in local.inputs:
        # An object store has no empty folders, so none was downloaded.
        if not os.path.exists(path):  # noqa: PTH110
            os.makedirs(path)  # noqa: PTH103
    for path in local.outputs:
        # What an earlier attempt left would be taken for this one's.
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)  # noqa: PTH103


if __name__ == "__main__":
    app.run(main, flags_parser=parse)
