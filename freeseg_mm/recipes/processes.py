"""Commands in processes of their own, each on its share of the machine."""

import os
import re
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

import torch
from tqdm import tqdm

from freeseg_mm.utils.parallel import available_cores

_FIRST_PORT = 29500
# Lines of a failed command's log that the error shows.
_SHOWN = 15
_ITERATION = re.compile(r'Iter\(train\) *\[ *(\d+)/\d+\].*\bloss: *(\S+)')


class RunFailedError(RuntimeError):
    """Failure of a command; the message names its log."""


@dataclass(eq=False)
class Slot:
    """A share of this machine, for one command at a time.

    Attributes:
        environment: Variables that keep a command to this share.
        devices: Number of GPUs; 0 for the CPU.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    devices: int = 0

    def __post_init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._is_closed = False

    def run(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        max_iters: int | None = None,
    ) -> None:
        """Run a command to its end; an exception on the way ends it.

        Args:
            name: Name of the command, for its bar and its error.
            command: The program and its arguments.
            log: File that gets all that the command prints.
            max_iters: Iterations of a training of mmengine, whose log is
                shown as a bar; ``None`` shows nothing.

        Raises:
            RunFailedError: If the command fails; the message has its last
                lines.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        last: deque[str] = deque(maxlen=_SHOWN)
        is_quiet = max_iters is None
        with (
            log.open('w', encoding='utf-8') as file,
            tqdm(
                total=max_iters, desc=name, unit='iter', disable=is_quiet
            ) as bar,
            subprocess.Popen(
                command,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding='utf-8',
                errors='replace',
            ) as process,
        ):
            self._process = process
            assert process.stdout is not None
            try:
                if self._is_closed:
                    process.terminate()
                for line in process.stdout:
                    file.write(line)
                    file.flush()
                    last.append(line)
                    if found := _ITERATION.search(line):
                        bar.set_postfix(loss=found[2], refresh=False)
                        bar.update(int(found[1]) - bar.n)
            except BaseException:
                process.terminate()
                raise
        if process.returncode:
            raise RunFailedError(
                f'{name} ended with exit status {process.returncode}, see '
                f'{log}:\n  {"  ".join(last).rstrip()}'
            )

    def close(self) -> None:
        """End the command that runs, and any that is started later."""
        self._is_closed = True
        if self._process is not None:
            self._process.terminate()


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
        cores = available_cores()
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


def run_on_slots(
    jobs: Sequence[Callable[[Slot], None]],
    slots: Sequence[Slot],
    say: Callable[[str], None],
) -> list[str]:
    """Run jobs in order, as many at once as there are slots.

    A job that fails leaves the others; an interrupt closes all slots.

    Args:
        jobs: Functions that run commands on a slot.
        slots: The slots.
        say: Function that is called with each failure.

    Returns:
        What failed, a message each; the other jobs are done.
    """
    free: SimpleQueue[Slot] = SimpleQueue()
    for slot in slots:
        free.put(slot)

    def run(job: Callable[[Slot], None]) -> None:
        slot = free.get()
        try:
            job(slot)
        finally:
            free.put(slot)

    failures = []
    with ThreadPoolExecutor(len(slots)) as pool:
        try:
            for done in as_completed([pool.submit(run, job) for job in jobs]):
                try:
                    done.result()
                except (RunFailedError, OSError) as error:
                    failures.append(str(error))
                    say(failures[-1])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for slot in slots:
                slot.close()
            raise
    return failures
