"""Processes that start where a new Python has imported OpenMMLab.

They are forks of one server, which imports it once for all tests of a
process; else each start costs 8 seconds. What runs in them has arguments,
environment, folder and standard streams of its own, and can be killed.
"""

import gc
import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import mmengine
import torch.multiprocessing

__all__ = ['plain_text', 'run_ranks', 'run_warm']

CONTEXT = multiprocessing.get_context('forkserver')
CONTEXT.set_forkserver_preload(
    [
        'freeseg_mm.apis.inferencer',
        'freeseg_mm.cli.main',
        'freeseg_mm.engine',
        'freeseg_mm.evaluation',
        'freeseg_mm.recipes.self_training',
        'mmdet.apis',
    ]
)


def run_warm(words, *, cwd=None, env=None, processes=1, timeout=600):
    """Run a script, or a module after ``-m``, as ``subprocess.run`` does.

    Args:
        words: Script and arguments.
        cwd: Its folder.
        env: Its whole environment; None for that of the caller.
        processes: How many at once, as torchrun starts them.
        timeout: Seconds that each is waited for; None for ever.

    Returns:
        subprocess.CompletedProcess: Exit status (the first that is not 0),
        output and errors, of all processes one after the other.
    """
    words = [str(word) for word in words]
    env = dict(os.environ if env is None else env)
    if processes > 1:
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            env.update(
                MASTER_ADDR='127.0.0.1',
                MASTER_PORT=str(free.getsockname()[1]),
                WORLD_SIZE=str(processes),
            )
    with tempfile.TemporaryDirectory() as folder:
        started, streams = [], []
        for rank in map(str, range(processes)):
            own = {'RANK': rank, 'LOCAL_RANK': rank} if processes > 1 else {}
            files = [Path(folder, f'{name}{rank}') for name in ('out', 'err')]
            process = CONTEXT.Process(
                target=_run,
                args=(words, str(cwd or os.getcwd()), {**env, **own}, files),
            )
            process.start()
            started.append(process)
            streams.append(files)
        for process in started:
            process.join(timeout)
            if process.exitcode is None:
                process.kill()
        out, err = (
            ''.join(path.read_text() for path in paths if path.exists())
            for paths in zip(*streams, strict=True)
        )
    codes = [process.exitcode for process in started]
    code = next((code for code in codes if code != 0), 0)
    return subprocess.CompletedProcess(words, code, out, err)


def plain_text(config):
    """Give a config as Python that reads back the same, not laid out.

    Several times a run mmengine lays out its config, for seconds.
    """
    return ''.join(f'{k} = {v!r}\n' for k, v in config.to_dict().items())


def run_ranks(work, *arguments, count=2):
    """Call ``work(rank, *arguments)`` in processes; raises what they do."""
    torch.multiprocessing.start_processes(
        work, arguments, nprocs=count, start_method='forkserver'
    )


def _run(words, cwd, env, files):
    for number, path in enumerate(files, start=1):
        handle = os.open(path, os.O_CREAT | os.O_WRONLY)
        os.dup2(handle, number)
        os.close(handle)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    gc.freeze()
    mmengine.Config.pretty_text = property(plain_text)
    torch.set_num_threads(int(env.get('OMP_NUM_THREADS', 1)))
    if words[0] == '-m':
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name='__main__', alter_sys=True)
    else:
        sys.argv = words
        sys.path.insert(0, str(Path(words[0]).parent))
        runpy.run_path(words[0], run_name='__main__')
