import multiprocessing
import os
import signal
import threading
import time
import traceback
from functools import partial
from pathlib import Path

import pytest

from freeseg_mm.utils.parallel import (
    available_cores,
    ordered_map,
    parallel_map,
)


def square(number):
    # Later items are done first.
    time.sleep(0.02 / number)
    return number**2


def fail(error, number):
    if number >= 5:
        raise error(f'cannot take {number}')
    return number


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


def name_number(number):
    return f'number {number}'


def leave_pid_and_sleep(folder, number):
    (folder / str(os.getpid())).touch()
    time.sleep(60)


def sleep_in_workers(folder):
    list(
        parallel_map(
            partial(leave_pid_and_sleep, folder),
            range(20),
            workers=2,
            description='sleeping',
        )
    )


def is_running(pid):
    try:
        stat = Path(f'/proc/{pid}/stat').read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(')')[2].split()[0] != 'Z'


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, 'waited too long'
        time.sleep(0.02)


@pytest.mark.parametrize('workers', [1, 3])
def test_results_come_in_the_order_of_the_items(workers):
    results = parallel_map(
        square, range(1, 15), workers=workers, description='squares'
    )
    assert list(results) == [number**2 for number in range(1, 15)]


def test_nothing_to_do_shows_no_bar(capsys):
    assert not list(parallel_map(square, [], workers=2, description='squares'))
    assert capsys.readouterr().err == ''


@pytest.mark.parametrize('workers', [1, 3])
def test_bar_says_what_is_done(workers, capsys):
    list(
        parallel_map(square, [1, 2, 3], workers=workers, description='squares')
    )
    assert 'squares: 100%' in capsys.readouterr().err


@pytest.mark.parametrize('workers', [1, 3])
@pytest.mark.parametrize('error', [ValueError, FileNotFoundError])
def test_first_error_of_the_data_names_the_item(workers, error):
    results = parallel_map(
        partial(fail, error),
        range(12),
        workers=workers,
        description='numbers',
        name=name_number,
    )
    with pytest.raises(ValueError, match='^number 5: cannot take 5$'):
        list(results)


@pytest.mark.parametrize('workers', [1, 3])
def test_other_errors_keep_their_type_in_the_message(workers):
    results = parallel_map(
        partial(fail, ZeroDivisionError),
        range(12),
        workers=workers,
        description='numbers',
    )
    with pytest.raises(
        RuntimeError, match='^5: ZeroDivisionError: cannot take 5$'
    ):
        list(results)


@pytest.mark.parametrize('workers', [1, 3])
def test_name_may_be_a_lambda(workers):
    """It was sent to the workers once, and the pool hung for ever."""
    results = parallel_map(
        partial(fail, ValueError),
        range(100),
        workers=workers,
        description='numbers',
        name=lambda number: f'lambda {number}',
    )
    with pytest.raises(ValueError, match='^lambda 5: cannot take 5$'):
        list(results)


def test_item_that_cannot_be_sent_is_refused():
    results = parallel_map(
        square, [lambda: 0] * 100, workers=2, description='numbers'
    )
    with pytest.raises(
        TypeError, match='^numbers: an item cannot be sent to another process'
    ):
        list(results)


class CountsPickling:
    """A function that knows how often it was sent."""

    times = 0

    def __call__(self, number):
        return number

    def __reduce__(self):
        type(self).times += 1
        return CountsPickling, ()


def test_function_is_not_sent_with_every_item():
    results = parallel_map(
        CountsPickling(), range(50), workers=2, description='numbers'
    )
    assert list(results) == list(range(50))
    assert CountsPickling.times <= 2  # none where processes are forked


@pytest.mark.parametrize('workers', [1, 3])
def test_where_an_error_came_from_is_kept(workers):
    results = parallel_map(
        partial(fail, KeyError),
        range(12),
        workers=workers,
        description='numbers',
    )
    with pytest.raises(RuntimeError) as caught:
        list(results)
    text = ''.join(traceback.format_exception(caught.value))
    assert 'in fail\n' in text


def test_killed_worker():
    results = parallel_map(die, range(4), workers=2, description='numbers')
    with pytest.raises(
        ChildProcessError,
        match='^numbers: a worker process was killed, .* fewer than 2 workers',
    ):
        list(results)


def test_workers_are_counted():
    with pytest.raises(ValueError, match='at least 1 worker, got 0'):
        list(parallel_map(square, [1], workers=0, description='squares'))


def test_available_cores():
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(
    not Path('/proc').is_dir(), reason='sees processes through /proc'
)
def test_workers_end_when_their_parent_is_killed(tmp_path):
    parent = multiprocessing.Process(target=sleep_in_workers, args=[tmp_path])
    parent.start()
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    pids = [int(path.name) for path in tmp_path.iterdir()]
    assert all(is_running(pid) for pid in pids)
    parent.kill()
    parent.join()
    try:
        wait_until(lambda: not any(is_running(pid) for pid in pids))
    finally:
        for pid in filter(is_running, pids):
            os.kill(pid, signal.SIGKILL)


# --- Threads -----------------------------------------------------------------


@pytest.mark.parametrize('threads', [0, 1, 4])
def test_results_of_threads_are_in_order(threads):
    def slow(number):
        time.sleep(0.002 * (number % 3))
        return number * number

    results = ordered_map(slow, iter(range(50)), threads=threads, ahead=6)
    assert list(results) == [number * number for number in range(50)]
    assert list(ordered_map(slow, [], threads=threads, ahead=1)) == []


@pytest.mark.parametrize('ahead', [1, 3, 8])
def test_no_more_than_agreed_is_taken(ahead):
    taken = []

    def items():
        for number in range(40):
            taken.append(number)
            yield number

    results = ordered_map(str, items(), threads=2, ahead=ahead)
    for count in range(1, 11):
        next(results)
        time.sleep(0.005)
        assert len(taken) <= count + ahead
    results.close()
    assert len(taken) <= 10 + ahead


def test_threads_work_at_the_same_time():
    """One waits for the other, who has to be running."""
    both = threading.Barrier(2, timeout=10)
    results = ordered_map(lambda _: both.wait(), [1, 2], threads=2, ahead=2)
    assert sorted(results) == [0, 1]


def test_an_error_comes_in_its_place():
    def check(number):
        if number == 2:
            raise ValueError('two')
        return number

    results = ordered_map(check, range(9), threads=3, ahead=5)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match='two'):
        next(results)

    def broken():
        yield 1
        raise OSError('gone')

    results = ordered_map(check, broken(), threads=3, ahead=5)
    assert next(results) == 1
    with pytest.raises(OSError, match='gone'):
        next(results)
