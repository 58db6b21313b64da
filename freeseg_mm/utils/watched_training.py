"""A training command whose long log becomes a progress bar."""

import re
import subprocess
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

_ITERATION = re.compile(r'Iter\(train\) *\[ *(\d+)/\d+\].*\bloss: *(\S+)')
_TAIL = 15


def watch_training(
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
