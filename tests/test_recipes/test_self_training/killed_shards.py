"""Make pseudo labels by several processes, killed again and again.

    python killed_shards.py FOLDER COUNT RECORDS ARGUMENT...

Runs COUNT processes of ``pseudo-labels make``, each with its share, that are
killed all at once when the journals in FOLDER hold so many RECORDS (numbers
with commas between), then to their end, and joins what they made. They are
forks, so that the imports are paid once. Prints how each ended.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from freeseg_mm.cli import main


def fork(arguments):
    pid = os.fork()
    if pid == 0:
        os._exit(main(['pseudo-labels', 'make', *arguments]))
    return pid


def records(folder):
    journals = folder.glob('.unfinished-*.jsonl')
    return sum(path.read_bytes().count(b'\n') - 1 for path in journals)


def is_over(pids):
    """Whether all have ended; the first is not waited for."""
    info = [
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        for pid in pids
    ]
    return all(info)


def run():
    name, count, limits, *arguments = sys.argv[1:]
    folder, count = Path(name), int(count)
    for limit in [*(int(x) for x in limits.split(',') if x), None]:
        pids = [
            fork([*arguments, '--shard', f'{number}/{count}'])
            for number in range(1, count + 1)
        ]
        while not is_over(pids):
            if limit is not None and records(folder) >= limit:
                time.sleep(random.uniform(0, 0.02))
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
                break
            time.sleep(0.005)
        ends = [os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) for p in pids]
        print('\nended:', records(folder), *ends, flush=True)
    _, status = os.waitpid(fork(arguments), 0)
    print('\nended: all', os.waitstatus_to_exitcode(status), flush=True)


if __name__ == '__main__':
    run()
