"""Run freeseg-mm self-train again and again, killed at one moment each time.

    python killed_runs.py MOMENTS ARGUMENT...

MOMENTS is a comma-separated list of ``train:R:I`` (before iteration I of
round R), ``write:R:I`` (in the middle of writing iter_I.pth of round R),
``label:R:N`` (before record N of round R) and ``none``. Each run is a process
of its own, forked so that the imports are paid once; prints how each ended.
"""

import io
import os
import signal
import sys

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from freeseg_mm.cli import main
from freeseg_mm.registry import HOOKS
from freeseg_mm.utils.journal import Journal


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def is_of_round(folder, number):
    return f'round_{number}' in str(folder)


@HOOKS.register_module()
class KillHook(Hook):
    """Kills this process before an iteration of a round."""

    def __init__(self, round_number, iteration):
        self.round_number = round_number
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration and is_of_round(
            runner.work_dir, self.round_number
        ):
            kill()


def arrange(moment):
    """Make this process die at a moment."""
    kind, *numbers = moment.split(':')
    if kind == 'none':
        return
    number, count = map(int, numbers)
    if kind == 'train':
        from_cfg = Runner.from_cfg.__func__

        def with_hook(cls, config):
            runner = from_cfg(cls, config)
            runner.register_hook(KillHook(number, count))
            return runner

        Runner.from_cfg = classmethod(with_hook)
    elif kind == 'write':
        save = Runner.save_checkpoint

        def save_half(runner, out_dir, filename, *args, **kwargs):
            if filename != f'iter_{count}.pth' or not is_of_round(
                out_dir, number
            ):
                return save(runner, out_dir, filename, *args, **kwargs)
            whole = io.BytesIO()
            torch.save(runner.model.state_dict(), whole)
            half = whole.getvalue()[: whole.tell() // 2]
            with open(os.path.join(out_dir, filename), 'wb') as file:
                file.write(half)
            return kill()

        Runner.save_checkpoint = save_half
    elif kind == 'label':
        append = Journal.append

        def die_in_the_middle(journal, record):
            if is_of_round(journal._path, number):
                die_in_the_middle.count += 1
                if die_in_the_middle.count == count:
                    kill()
            append(journal, record)

        die_in_the_middle.count = 0
        Journal.append = die_in_the_middle
    else:
        raise ValueError(moment)


def run():
    moments, *arguments = sys.argv[1:]
    for moment in moments.split(','):
        child = os.fork()
        if child == 0:
            arrange(moment)
            sys.exit(main(['self-train', *arguments]))
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        # on a line of its own, whatever a progress bar has left
        print('\nended:', moment, code, flush=True)


if __name__ == '__main__':
    run()
