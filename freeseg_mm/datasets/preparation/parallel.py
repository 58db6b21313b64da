"""Work through many files with several processes and a progress bar."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.connection import wait
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar('Item')
Result = TypeVar('Result')

# Few enough that an interruption loses little, enough that passing messages
# costs nothing beside decoding images.
_ITEMS_PER_MESSAGE = 4


def available_cores() -> int:
    """How many CPU cores this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parallel_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int,
    description: str,
    name: Callable[[Item], str] = str,
) -> Iterator[Result]:
    """Call a function on every item, results in the order of the items.

    The order and the first error do not depend on the number of workers.

    Args:
        function: What to call; a function of a module (or a partial of one)
            when there is more than one worker.
        items: What to call it with.
        workers: How many processes; 1 stays in this one.
        description: What the progress bar says.
        name: How messages call an item.

    Yields:
        What the function returned.

    Raises:
        ValueError: If there is no worker, or the function raised ValueError
            or OSError; the message names the item.
        RuntimeError: If it raised anything else, likewise.
        ChildProcessError: If a worker was killed.
    """
    if workers < 1:
        raise ValueError(f'expected at least 1 worker, got {workers}')
    if not items:
        return
    call = partial(_call, function, name)
    with tqdm(total=len(items), desc=description, unit='file') as bar:
        if workers == 1 or len(items) < 2:
            for item in items:
                yield call(item)
                bar.update()
            return
        pool = ProcessPoolExecutor(workers, initializer=_obey_parent)
        try:
            for result in pool.map(call, items, chunksize=_ITEMS_PER_MESSAGE):
                yield result
                bar.update()
        except BrokenProcessPool:
            raise ChildProcessError(
                f'{description}: a worker process was killed, perhaps for '
                f'lack of memory; run again with fewer than {workers} workers'
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _call(
    function: Callable[[Item], Result],
    name: Callable[[Item], str],
    item: Item,
) -> Result:
    try:
        return function(item)
    except (OSError, ValueError) as error:
        raise ValueError(f'{name(item)}: {error}') from error
    except Exception as error:
        raise RuntimeError(
            f'{name(item)}: {type(error).__name__}: {error}'
        ) from error


def _obey_parent() -> None:
    """Leave Ctrl-C to the parent, and exit when it is killed.

    A pool's workers otherwise wait for ever for the next item.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
