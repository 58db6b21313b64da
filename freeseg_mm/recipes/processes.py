"""A tool in a process of its own."""

import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

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


_SHOWN = 5


class RunFailedError(RuntimeError):
    """A run ended with an error; the message names its log."""


def run_tool(
    tool: Path,
    subject: Sequence[str],
    arguments: Sequence[str],
    slot: Slot,
    log: Path,
) -> None:
    """Run a tool, on several GPUs if the slot has them.

    Args:
        tool: The script, as ``tools/train.py``; a run on several GPUs is
            that of ``dist_train.sh`` beside it.
        subject: What it takes before the number of GPUs.
        arguments: What it takes after that.
        slot: Where to run.
        log: File for all that it prints.

    Raises:
        RunFailedError: If it ends with an error.
    """
    if slot.devices > 1:
        script = tool.with_name(f'dist_{tool.stem}.sh')
        start = ['bash', str(script), *subject, str(slot.devices)]
    else:
        start = [sys.executable, str(tool), *subject]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open('w') as output:
        code = subprocess.run(
            [*start, *arguments],
            env={**os.environ, **slot.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ).returncode
    if code:
        last = log.read_text(errors='replace').splitlines()[-_SHOWN:]
        raise RunFailedError(
            f'{tool.name} ended with exit status {code}, see {log}:\n  '
            + '\n  '.join(last)
        )


def option_arguments(options: Mapping[str, Any]) -> list[str]:
    """Options of configs as the tools take them."""
    pairs = [f'{key}={_text(value)}' for key, value in options.items()]
    return ['--cfg-options', *pairs] if pairs else []


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f'[{",".join(map(_text, value))}]'
    return str(value)


_ITERATION = re.compile(r'Iter\(train\) *\[ *(\d+)/\d+\].*\bloss: *(\S+)')
_TAIL = 15


def train_subprocess(
    command: Sequence[str], *, max_iters: int, log: Path
) -> None:
    """Run a training of mmengine with a bar instead of its log.

    Args:
        command: The program and its arguments.
        max_iters: Number of iterations in all.
        log: File that gets all that the command writes.

    Raises:
        RuntimeError: If the command fails; the message has its last lines
            and the name of the log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    tail: deque[str] = deque(maxlen=_TAIL)
    with (
        log.open('w', encoding='utf-8') as file,
        tqdm(total=max_iters, desc='training', unit='iter') as bar,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding='utf-8',
            errors='replace',
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                file.write(line)
                file.flush()
                tail.append(line)
                if found := _ITERATION.search(line):
                    bar.set_postfix(loss=found[2], refresh=False)
                    bar.update(int(found[1]) - bar.n)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise RuntimeError(
            f'training ended with status {process.returncode}; its last lines '
            f'(all of them are in {log}):\n{"".join(tail)}'
        )
