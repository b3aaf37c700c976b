"""How many processors a container may use: Beam and others count those of the machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

# Of cgroups version 2: microseconds of processor time in each period.
CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
_ALL_CORES = "--direct_num_workers=0"


def within_limit(beam_args: Sequence[str], cpu_max: Path = CPU_MAX) -> list[str]:
    """Beam's flags, with as many threads as the container has processors instead of all.

    Not settled when the pipeline is compiled: another limit would be another key of the cache.

    Args:
      beam_args: as compiled.
      cpu_max: where the limit stands; no limit is known without it.
    """
    limit = _limit(cpu_max)
    return [
        f"--direct_num_workers={limit}" if arg == _ALL_CORES and limit else arg for arg in beam_args
    ]


def _limit(cpu_max: Path) -> int | None:
    try:
        quota, period = cpu_max.read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else math.ceil(int(quota) / int(period))
