"""Work through many files with several processes and a progress bar."""

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, TypeVar

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
        function: What to call; sent once to each worker, so that it may be
            a partial that holds much.
        items: What to call it with; sent to the workers.
        workers: How many processes; 1 stays in this one.
        description: What the progress bar says.
        name: How messages call an item; any function, it stays in this
            process.

    Yields:
        What the function returned.

    Raises:
        TypeError: If an item cannot be sent to another process.
        ValueError: If there is no worker, or the function raised ValueError
            or OSError; the message names the item.
        RuntimeError: If it raised anything else, likewise.
        ChildProcessError: If a worker was killed.
    """
    if workers < 1:
        raise ValueError(f'expected at least 1 worker, got {workers}')
    if not items:
        return
    with tqdm(total=len(items), desc=description, unit='file') as bar:
        if workers == 1 or len(items) < 2:
            for item in items:
                yield _result(_call(function, item), name, item)
                bar.update()
            return
        _check_sendable(items, description)
        pool = ProcessPoolExecutor(
            workers, initializer=_start_worker, initargs=(function,)
        )
        try:
            outcomes = pool.map(
                _call_in_worker, items, chunksize=_ITEMS_PER_MESSAGE
            )
            for item, outcome in zip(items, outcomes, strict=True):
                yield _result(outcome, name, item)
                bar.update()
        except BrokenProcessPool:
            raise ChildProcessError(
                f'{description}: a worker process was killed, perhaps for '
                f'lack of memory; run again with fewer than {workers} workers'
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Failure:
    """An error on its way to the parent, which knows how to name the item."""

    is_of_data: bool
    message: str
    trace: str


def _call(function: Callable[[Item], Result], item: Item) -> Result | _Failure:
    try:
        return function(item)
    except (OSError, ValueError) as error:
        return _Failure(True, str(error), traceback.format_exc())
    except Exception as error:
        message = f'{type(error).__name__}: {error}'
        return _Failure(False, message, traceback.format_exc())


def _result(
    outcome: Result | _Failure, name: Callable[[Item], str], item: Item
) -> Result:
    if not isinstance(outcome, _Failure):
        return outcome
    kind = ValueError if outcome.is_of_data else RuntimeError
    cause = RuntimeError(f'\n{outcome.trace}')
    raise kind(f'{name(item)}: {outcome.message}') from cause


def _check_sendable(items: Sequence[Any], description: str) -> None:
    """Raise where the executor, whose shutdown then waits, would hang."""
    try:
        pickle.dumps(list(items))
    except Exception as error:
        raise TypeError(
            f'{description}: an item cannot be sent to another process '
            f'({error}); take plain data or one worker'
        ) from error


_worker_function: Callable[[Any], Any]
"""What a worker calls on each item, set when it starts."""


def _call_in_worker(item: Any) -> Any:
    return _call(_worker_function, item)


def _start_worker(function: Callable[[Any], Any]) -> None:
    global _worker_function
    _worker_function = function
    _obey_parent()


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
