"""Work on many items in processes or threads, and shares of it."""

import multiprocessing
import os
import pickle
import re
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import (
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar('Item')
Result = TypeVar('Result')


def available_cores() -> int:
    """Count the CPU cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Shard:
    """Share of the work of one of several processes.

    Attributes:
        number: Number of the process, from 1.
        count: Number of processes.

    Raises:
        ValueError: If there is no such share.
    """

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ValueError(
                f'shard {self}: expected a number from 1 to {self.count}'
            )

    def __str__(self) -> str:
        return f'{self.number}/{self.count}'

    @classmethod
    def parse(cls, text: str) -> 'Shard':
        """Read ``3/8``, the third of eight.

        Raises:
            ValueError: If it is none.
        """
        if not (found := re.fullmatch(r'([0-9]{1,9})/([0-9]{1,9})', text)):
            raise ValueError(f'expected a shard as 3/8, got {text!r}')
        return cls(int(found[1]), int(found[2]))

    @property
    def suffix(self) -> str:
        """End of the name of its journal."""
        return f'{self.number}-of-{self.count}.jsonl'

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """Every so many items, beginning with its number."""
        return items[self.number - 1 :: self.count]


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
        function: The function; sent once to each worker, so that it may be
            a partial that holds much.
        items: Its arguments; sent to the workers.
        workers: Number of processes; 1 stays in this one.
        description: Title of the progress bar.
        name: Name of an item in messages; any function, it stays in this
            process.

    Yields:
        The results of the function.

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
    if len(items) == 1:
        workers = 1
    if workers > 1:
        _check_sendable(items, description)
    with (
        tqdm(total=len(items), desc=description, unit='file') as bar,
        _mapped(function, items, workers) as results,
    ):
        for item in items:
            try:
                result = next(results)
            except BrokenProcessPool:
                raise ChildProcessError(
                    f'{description}: a worker process was killed, perhaps '
                    'for lack of memory; run again with fewer than '
                    f'{workers} workers'
                ) from None
            except (OSError, ValueError) as error:
                raise ValueError(f'{name(item)}: {error}') from error
            except Exception as error:
                raise RuntimeError(
                    f'{name(item)}: {type(error).__name__}: {error}'
                ) from error
            yield result
            bar.update()


def ordered_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int,
    ahead: int,
) -> Iterator[Result]:
    """Call a function on items in threads, before the results are asked for.

    Args:
        function: The function.
        items: Its arguments, any number of them. With threads they are
            taken one after the other in a thread of their own.
        threads: Number of threads; 0 works when a result is asked for.
        ahead: Most results that are made at once or wait to be asked for.

    Yields:
        The results in the order of the items. What the function or the
        iterator of items raises is raised in its place.
    """
    if not threads:
        yield from map(function, items)
        return
    source = iter(items)
    pending: deque[Future[Any]] = deque()
    with (
        ThreadPoolExecutor(1) as feeder,
        ThreadPoolExecutor(threads) as pool,
    ):

        def work(taken: 'Future[Any]') -> Any:
            item = taken.result()
            return _END if item is _END else function(item)

        def fill() -> None:
            while len(pending) < max(ahead, 1):
                taken = feeder.submit(next, source, _END)
                pending.append(pool.submit(work, taken))

        try:
            fill()
            while (result := pending[0].result()) is not _END:
                pending.popleft()
                fill()
                yield result
        finally:
            for threads_of in (feeder, pool):
                threads_of.shutdown(wait=False, cancel_futures=True)


_END = object()


@contextmanager
def _mapped(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[Iterator[Result]]:
    if workers == 1:
        yield map(function, items)
        return
    pool = ProcessPoolExecutor(
        workers, initializer=_start_worker, initargs=(function,)
    )
    try:
        yield pool.map(_call_in_worker, items)
    finally:
        pool.shutdown(cancel_futures=True)


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
"""Function that a worker calls on each item, set when it starts."""


def _call_in_worker(item: Any) -> Any:
    return _worker_function(item)


def _start_worker(function: Callable[[Any], Any]) -> None:
    """Leave Ctrl-C to the parent, and exit when it is killed.

    A pool's workers otherwise wait for ever for the next item.
    """
    global _worker_function
    _worker_function = function
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
