"""Places where runs can go on at the same time."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

_FIRST_PORT = 29500


@dataclass(frozen=True)
class Slot:
    """What one run at a time has to itself.

    Attributes:
        environment: Variables that keep its processes to that.
        devices: Number of GPUs; 0 for the CPU.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    devices: int = 0


def find_slots(jobs: int | None = None, gpus_per_run: int = 1) -> list[Slot]:
    """Share out the GPUs of this machine, or else its cores.

    Args:
        jobs: Runs at once; ``None`` for as many as there are groups of GPUs,
            or cores.
        gpus_per_run: GPUs of one run, where there are any.

    Returns:
        One slot for each run at once. Without GPUs, each has its share of
        the cores, at least one: two runs of one thread on two cores are
        done before two runs of two threads, one after the other.

    Raises:
        ValueError: If a number is below 1, or there are too few GPUs.
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f'--jobs {jobs}: expected at least 1')
    if gpus_per_run < 1:
        raise ValueError(f'--gpus-per-run {gpus_per_run}: expected at least 1')
    count = torch.cuda.device_count()
    if not count:
        cores = len(os.sched_getaffinity(0))
        jobs = jobs or cores
        threads = str(max(1, cores // jobs))
        variables = {'OMP_NUM_THREADS': threads, 'MKL_NUM_THREADS': threads}
        return [Slot(variables) for _ in range(jobs)]
    most = count // gpus_per_run
    jobs = jobs or most
    if not 1 <= jobs <= most:
        raise ValueError(
            f'{max(jobs, 1)} runs at once with {gpus_per_run} GPUs each: '
            f'this machine has {count}'
        )
    visible = os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',')
    names = visible if len(visible) == count else list(map(str, range(count)))
    return [
        Slot(
            {
                'CUDA_VISIBLE_DEVICES': ','.join(
                    names[k * gpus_per_run : (k + 1) * gpus_per_run]
                ),
                'PORT': str(_FIRST_PORT + k),
            },
            gpus_per_run,
        )
        for k in range(jobs)
    ]
