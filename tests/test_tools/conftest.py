import os
import runpy
import socket
import subprocess
import sys

import pytest
import torch
from inference_fixtures import *  # noqa: F403

from freeseg_mm.registry import MODELS


@pytest.fixture
def checkpoint(tiny_run_config, tmp_path):
    """Weights of an untrained model."""
    path = tmp_path / 'untrained.pth'
    model = MODELS.build(tiny_run_config.model)
    torch.save({'state_dict': model.state_dict()}, path)
    return path


@pytest.fixture
def run_tool(repo, monkeypatch):
    """Run a Python tool in this process, which saves the imports."""

    def run(name, *arguments):
        words = [name, *map(str, arguments)]
        monkeypatch.setattr(sys, 'argv', words)
        # each run of a tool is the first process of its own
        monkeypatch.delenv('LOCAL_RANK', raising=False)
        return runpy.run_path(str(repo / 'tools' / name), run_name='__main__')

    return run


@pytest.fixture
def run_process(repo, tmp_path):
    """Run a tool as its user does; its output comes with the result."""

    def run(name, *arguments, path=None, **environment):
        command = [sys.executable] if name.endswith('.py') else ['bash']
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        if path is not None:
            environment['PATH'] = f'{path}{os.pathsep}{os.environ["PATH"]}'
        return subprocess.run(
            [*command, repo / 'tools' / name, *map(str, arguments)],
            cwd=tmp_path,
            env={
                **os.environ,
                'PYTHON': sys.executable,
                'PORT': str(port),
                'CUDA_VISIBLE_DEVICES': '',
                'OMP_NUM_THREADS': '1',
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )

    return run
