"""Gives a compiled pipeline to Kubeflow's API, and waits for it."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import kfp
import kfp_server_api
import urllib3

from components.errors import InputError
from pipeline.runners.kubeflow.parameters import OVERRIDES, RUNTIME_PARAMETERS

POLL_SECONDS = 15
# Five minutes' worth.
_UNANSWERED = 20
# What a run does not leave any more.
_ENDS = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED", "ERROR")


@dataclasses.dataclass(frozen=True)
class Api:
    """How Kubeflow's API is reached, as `kfp.Client` takes it.

    Attributes:
      endpoint: its URL; by default the cluster that this runs in, or that of the kubeconfig.
      namespace: the profile's, where Kubeflow has several users.
      token: a bearer token.
      ca_cert: a file with the certificate of who signed the server's.
      kube_context: of the kubeconfig, where there is no endpoint.
    """

    endpoint: str | None = None
    namespace: str | None = None
    token: str | None = None
    ca_cert: str | None = None
    kube_context: str | None = None

    def connect(self) -> kfp.Client:
        """The client.

        Raises:
          InputError: if the API does not answer.
        """
        with answers(self):
            return kfp.Client(
                host=self.endpoint,
                # The client's own default, which is that of a single user.
                namespace=self.namespace or "kubeflow",
                existing_token=self.token,
                ssl_ca_cert=self.ca_cert,
                kube_context=self.kube_context,
            )


@contextlib.contextmanager
def answers(api: Api) -> Iterator[None]:
    """Tell the user of an API that refuses or does not answer.

    Raises:
      InputError: naming the endpoint and what it said.
    """
    where = f"--endpoint {api.endpoint}" if api.endpoint else "the cluster of the kubeconfig"
    try:
        with warnings.catch_warnings():
            # That it speaks to no version 1.
            warnings.simplefilter("ignore", FutureWarning)
            yield
    except kfp_server_api.ApiException as error:
        said = str(error.body or "").strip()[:500]
        raise InputError(f"{where}: answered {error.status} {error.reason}. {said}") from error
    except (urllib3.exceptions.HTTPError, TimeoutError) as error:
        raise InputError(f"{where}: does not answer: {error}") from error


def read_parameters(given: Sequence[str]) -> dict[str, Any]:
    """A run's parameters, as typed on a command line.

    Args:
      given: `name=value`; of `overrides` there can be several.

    Raises:
      InputError: if there is no such parameter, or it is no such value.
    """
    known = {parameter.name: parameter for parameter in RUNTIME_PARAMETERS}
    values: dict[str, Any] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or name not in known:
            raise InputError(
                f"--parameter {text}: write it as name=value, with one of {', '.join(known)}"
            )
        if known[name].type == "NUMBER_INTEGER":
            if not value.isdecimal():
                raise InputError(f"--parameter {text}: {name} is a whole number")
            values[name] = int(value)
        elif name == OVERRIDES.name and name in values:
            values[name] += f"\n{value}"
        else:
            values[name] = value
    return values


def submit(
    client: kfp.Client,
    api: Api,
    pipeline: Path,
    *,
    run_name: str,
    experiment_name: str,
    pipeline_root: str,
    parameters: Mapping[str, Any],
    service_account: str | None = None,
) -> str:
    """Start a run; Kubeflow's client prints the URLs of its pages.

    Args:
      client: of the API.
      api: how it is reached.
      pipeline: the compiled file.
      run_name: as Kubeflow's pages show it.
      experiment_name: the group of runs that it is shown in; made if it is not there.
      pipeline_root: artifacts go below it.
      parameters: values of the pipeline's runtime parameters.
      service_account: that the pods run as.

    Returns:
      The run's id.

    Raises:
      InputError: if the API refuses it.
    """
    with answers(api):
        run = client.create_run_from_pipeline_package(
            str(pipeline),
            arguments=dict(parameters),
            run_name=run_name,
            experiment_name=experiment_name,
            namespace=api.namespace,
            pipeline_root=pipeline_root,
            service_account=service_account,
        )
    return str(run.run_id)


def wait(
    client: kfp.Client,
    api: Api,
    run_id: str,
    *,
    timeout: float | None = None,
    on_state: Callable[[str], None] = lambda state: None,
) -> str:
    """Wait until a run ends; other than the client's own, for a run that was cancelled too.

    Args:
      client: of the API.
      api: how it is reached.
      run_id: of the run.
      timeout: seconds, after which it is not waited for any more.
      on_state: told of each new state.

    Returns:
      Kubeflow's name of the state in which it is.

    Raises:
      InputError: if the API refuses to tell.
    """
    begun, state, unanswered = time.monotonic(), "", 0
    while True:
        now = state
        try:
            with answers(api):
                now = str(client.get_run(run_id).state or "PENDING")
            unanswered = 0
        except InputError as error:
            # The run goes on while the API restarts.
            unanswered += 1
            if _is_final(error.__cause__) or unanswered > _UNANSWERED:
                raise
        if now != state:
            state = now
            on_state(state)
        if state in _ENDS or (timeout is not None and time.monotonic() - begun >= timeout):
            return state
        time.sleep(POLL_SECONDS)


def _is_final(error: BaseException | None) -> bool:
    """Whether asking again would get the same answer."""
    return isinstance(error, kfp_server_api.ApiException) and error.status in (401, 403, 404)


def ended(state: str) -> bool:
    """Whether a run in this state is over."""
    return state in _ENDS
