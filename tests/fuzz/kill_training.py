"""Trainings that are killed around the writing of a checkpoint, and resumed.

``python kill_training.py CONFIG FOLDER KILLS`` prints a line of JSON for each.
Each run is a fork, so that OpenMMLab is imported once.
"""

import json
import os
import random
import runpy
import shutil
import signal
import sys
import time
from pathlib import Path

import torch
from mmengine.fileio import LocalBackend
from mmengine.hooks import checkpoint_hook
from mmengine.runner import Runner

from freeseg_mm.engine.checkpoint import latest_checkpoint

TRAIN = Path(__file__).parents[2] / 'tools/train.py'
ITERATIONS, INTERVAL = 6, 2
MOMENTS = ('before', 'within', 'written', 'emptied', 'cut', 'outside')
OPTIONS = (
    f'train_cfg.max_iters={ITERATIONS}',
    f'default_hooks.checkpoint.interval={INTERVAL}',
    'val_cfg=None',
    'val_dataloader=None',
    'val_evaluator=None',
)


def main(config: str, folder: Path, kills: int) -> None:
    """Train once without a kill, then kill and resume again and again."""
    usual = folder / 'usual'
    assert train(config, usual) == 0, (folder / 'usual.log').read_text()
    for number in range(kills):
        rng = random.Random(number)
        moment = MOMENTS[number % len(MOMENTS)]
        # it would end before a kill from outside
        end = ITERATIONS + (moment != 'outside')
        at = rng.randrange(INTERVAL, end, INTERVAL)
        work_dir = folder / f'killed_{number}'
        ended = train(config, work_dir, moment, at, rng.random())
        left = latest_checkpoint(work_dir)
        resumed = train(config, work_dir, 'resumed')
        report = {
            'moment': moment,
            'at': at,
            'killed': ended == -signal.SIGKILL,
            'latest': left and left.name,
            'resumed': resumed,
            'log': (folder / f'killed_{number}.log').read_text()[-2000:]
            if resumed
            else '',
            'equal': not resumed and equal(usual, work_dir),
        }
        print(json.dumps(report), flush=True)
        shutil.rmtree(work_dir)


def train(
    config: str,
    work_dir: Path,
    moment: str = '',
    at: int = 0,
    share: float = 0.0,
) -> int:
    """Run tools/train.py in a fork; its exit status, negative if killed."""
    argv = [str(TRAIN), config, '--work-dir', str(work_dir)]
    argv += ['--resume'] * (moment == 'resumed')
    pid = os.fork()
    if not pid:
        log = os.open(
            work_dir.with_suffix('.log'),
            os.O_CREAT | os.O_APPEND | os.O_WRONLY,
        )
        os.dup2(log, 1)
        os.dup2(log, 2)
        status = 1
        try:
            arm(moment, f'iter_{at}.pth', share)
            sys.argv = [*argv, '--cfg-options', *OPTIONS]
            runpy.run_path(str(TRAIN), run_name='__main__')
            status = 0
        finally:
            sys.stdout.flush()
            os._exit(status)
    if moment == 'outside':
        path = work_dir / f'iter_{at}.pth'
        while not path.exists() and not os.waitpid(pid, os.WNOHANG)[0]:
            time.sleep(0.001)
        time.sleep(share / 50)
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def arm(moment: str, name: str, share: float) -> None:
    """Have this process kill itself at a moment of writing a checkpoint."""
    put, save = LocalBackend.put, Runner.save_checkpoint

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def killed_save(self, out_dir, filename, *args, **kwargs):
        if filename == name and moment == 'before':
            die()
        return save(self, out_dir, filename, *args, **kwargs)

    def killed_put(self, obj, filepath):
        is_this = Path(filepath).name == name
        if is_this and moment == 'within':
            Path(filepath).write_bytes(obj[: int(share * len(obj))])
            die()
        put(self, obj, filepath)
        if is_this and moment == 'written':
            die()

    def killed_open(path, mode):
        file = open(path, mode)  # noqa: SIM115
        write = file.write

        def killed_write(text):
            if text.endswith(name):
                write(text[: moment == 'cut' and int(share * len(text))])
                file.flush()
                die()
            return write(text)

        file.write = killed_write
        return file

    Runner.save_checkpoint = killed_save
    LocalBackend.put = killed_put
    if moment in ('emptied', 'cut'):
        checkpoint_hook.open = killed_open


def equal(usual: Path, resumed: Path) -> bool:
    """Compare the last weights and optimizer states bit for bit."""
    first, second = (
        torch.load(x / f'iter_{ITERATIONS}.pth', weights_only=False)
        for x in (usual, resumed)
    )
    moments = [x['optimizer']['state'].items() for x in (first, second)]
    return first['state_dict'].keys() == second['state_dict'].keys() and all(
        torch.equal(a, b)
        for a, b in (
            *zip(
                first['state_dict'].values(),
                second['state_dict'].values(),
                strict=True,
            ),
            *(
                (value, dict(moments[1])[index][key])
                for index, state in moments[0]
                for key, value in state.items()
            ),
        )
    )


if __name__ == '__main__':
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
