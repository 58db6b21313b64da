"""A tool in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .slots import Slot

_SHOWN = 5


class RunFailedError(RuntimeError):
    """A run ended with an error; the message names its log."""


def run_tool(
    tool: Path,
    subject: Sequence[str],
    arguments: Sequence[str],
    slot: Slot,
    log: Path,
) -> None:
    """Run a tool, on several GPUs if the slot has them.

    Args:
        tool: The script, as ``tools/train.py``; a run on several GPUs is
            that of ``dist_train.sh`` beside it.
        subject: What it takes before the number of GPUs.
        arguments: What it takes after that.
        slot: Where to run.
        log: File for all that it prints.

    Raises:
        RunFailedError: If it ends with an error.
    """
    if slot.devices > 1:
        script = tool.with_name(f'dist_{tool.stem}.sh')
        start = ['bash', str(script), *subject, str(slot.devices)]
    else:
        start = [sys.executable, str(tool), *subject]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open('w') as output:
        code = subprocess.run(
            [*start, *arguments],
            env={**os.environ, **slot.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ).returncode
    if code:
        last = log.read_text(errors='replace').splitlines()[-_SHOWN:]
        raise RunFailedError(
            f'{tool.name} ended with exit status {code}, see {log}:\n  '
            + '\n  '.join(last)
        )


def option_arguments(options: Mapping[str, Any]) -> list[str]:
    """Options of configs as the tools take them."""
    pairs = [f'{key}={_text(value)}' for key, value in options.items()]
    return ['--cfg-options', *pairs] if pairs else []


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f'[{",".join(map(_text, value))}]'
    return str(value)
