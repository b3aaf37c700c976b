"""The processes that train together: their addresses, and which of them this one is."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import socket

from components.errors import InputError

_TF_CONFIG = "TF_CONFIG"
_CONNECT = 2.0  # seconds


@dataclasses.dataclass(frozen=True)
class Cluster:
    """What TensorFlow's variable TF_CONFIG says.

    Attributes:
      addresses: `host:port` of each worker; the first one is the chief, which keeps the results.
      index: of this worker.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def local_index(self) -> int:
        """Which one this is of the workers on its machine."""
        hosts = [address.rsplit(":", 1)[0] for address in self.addresses[: self.index + 1]]
        return hosts[:-1].count(hosts[-1])

    @property
    def spec_name(self) -> str:
        """The file in which the chief tells the others what to train."""
        digest = hashlib.sha256(json.dumps(self.addresses).encode()).hexdigest()
        return f"workers-{digest[:16]}.json"

    def chief_listens(self) -> bool:
        """Whether somebody is at the chief's address: it is from when it begins to train."""
        host, port = self.addresses[0].rsplit(":", 1)
        try:
            socket.create_connection((host.strip("[]"), int(port)), _CONNECT).close()
        except OSError:
            return False
        return True

    @property
    def environment(self) -> dict[str, str]:
        """The variable, for a process that is to be this worker.

        It knows workers alone: whoever started them may have called the first one the chief, and
        TensorFlow joins only processes that call one another the same.
        """
        task = {"type": "worker", "index": self.index}
        cluster = {"worker": list(self.addresses)}
        return {_TF_CONFIG: json.dumps({"cluster": cluster, "task": task})}


def from_environment() -> Cluster | None:
    """The cluster that TF_CONFIG describes; None where it is not set.

    Raises:
      InputError: if it describes something else than workers, with or without a chief of their own.
    """
    text = os.environ.get(_TF_CONFIG)
    if not text:
        return None
    try:
        config = json.loads(text)
        groups = config["cluster"]
        task, index = config["task"]["type"], int(config["task"]["index"])
        members = [(kind, one) for kind in ("chief", "worker") for one in groups.get(kind, [])]
        own = members.index((task, groups[task][index]))
        _ = [int(address.rsplit(":", 1)[1]) for _, address in members]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(
            f"TF_CONFIG names no worker of a cluster ({error!r}) in {text[:200]}: give it as the "
            'Training Operator does, {"cluster": {"worker": ["host:port", ...]}, "task": {"type": '
            '"worker", "index": 0}}'
        ) from error
    if set(groups) - {"chief", "worker"}:
        raise InputError(
            f"TF_CONFIG has {', '.join(sorted(groups))}: training knows workers and a chief "
            "alone: leave the others out"
        )
    return Cluster(tuple(address for _, address in members), own)


def on_loopback(count: int) -> list[Cluster]:
    """So many workers on this machine, at ports that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        addresses = tuple(f"127.0.0.1:{one.getsockname()[1]}" for one in sockets)
    return [Cluster(addresses, index) for index in range(count)]
