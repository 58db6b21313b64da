"""Run freeseg-mm predict again and again, killed at given numbers of images.

    python killed_prediction.py JOURNAL RECORDS ARGUMENT...

RECORDS is a comma-separated list: each run is killed when JOURNAL holds so
many records, the last one runs to its end. Each is a process of its own,
forked so that the imports are paid once. Prints how each ended, and its
memory in MiB after a tenth of the images and at its end.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from freeseg_mm.cli import main

_PAGE = os.sysconf('SC_PAGE_SIZE')


def memory(pid):
    return int(Path(f'/proc/{pid}/statm').read_text().split()[1]) * _PAGE


def count(journal):
    """Records there, and whether the run is over."""
    try:
        return journal.read_bytes().count(b'\n') - 1
    except FileNotFoundError:
        return 0


def watch(pid, journal, limit):
    """Kill a run at a number of records; memory on the way."""
    seen = []
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        done = count(journal)
        if done:
            seen.append((done, memory(pid)))
        if limit is not None and done >= limit:
            time.sleep(random.uniform(0, 0.05))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return -signal.SIGKILL, seen
        time.sleep(0.01)
    return 0, seen


def run():
    name, records, *arguments = sys.argv[1:]
    for limit in [*map(int, records.split(',') if records else ()), None]:
        began = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            os._exit(main(['predict', *arguments, '--resume']))
        code, seen = watch(pid, Path(name), limit)
        seconds = time.perf_counter() - began
        first = next((m for n, m in seen if n >= seen[-1][0] / 10), 0)
        last = seen[-1][1] if seen else 0
        print(
            f'ended: {code} at {seen[-1][0] if seen else 0} images after '
            f'{seconds:.0f} s, memory {first >> 20} to {last >> 20} MiB',
            flush=True,
        )


if __name__ == '__main__':
    run()
