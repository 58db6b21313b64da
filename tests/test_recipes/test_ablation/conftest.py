import json
import textwrap

import pytest

TRAIN = """
import shutil, sys
from pathlib import Path

config, work_dir = Path(sys.argv[1]), Path(sys.argv[3])
work_dir.mkdir(parents=True, exist_ok=True)
with open(Path(__file__).parent / 'calls', 'a') as calls:
    print('train', config.stem, *sys.argv[2:], file=calls)
if config.stem == 'broken':
    sys.exit('no such data set')
shutil.copy(config, work_dir)
(work_dir / 'iter_4.pth').touch()
(work_dir / 'last_checkpoint').write_text(str(work_dir / 'iter_4.pth'))
"""
TEST = """
import json, shutil, sys
from pathlib import Path

config, checkpoint, _, work_dir, _, out = map(Path, sys.argv[1:7])
assert checkpoint.is_file()
with open(Path(__file__).parent / 'calls', 'a') as calls:
    print('test', config.stem, checkpoint.parts[-4], *sys.argv[3:], file=calls)
work_dir.mkdir(parents=True, exist_ok=True)
shutil.copy(config, work_dir)
seed = int(checkpoint.parts[-3].removeprefix('seed_'))
metrics = {'semantic/mIoU_unseen': 10.0 + 2 * seed, 'semantic/hIoU': None}
out.write_text(json.dumps({'metrics': metrics, 'config': str(config)}))
"""


LABEL = """
import sys
from pathlib import Path

with open(Path(__file__).parent / 'calls', 'a') as calls:
    name = Path(sys.argv[1]).stem
    print('label', name, *sys.argv[2:], file=calls)
"""


@pytest.fixture
def tools(tmp_path):
    """A folder of tools that only note their calls."""
    folder = tmp_path / 'tools'
    folder.mkdir()
    (folder / 'train.py').write_text(TRAIN)
    (folder / 'test.py').write_text(TEST)
    (folder / 'label.py').write_text(LABEL)
    return folder


@pytest.fixture
def calls(tools):
    """Read and forget the calls so far."""

    def read():
        path = tools / 'calls'
        lines = path.read_text().splitlines() if path.is_file() else []
        path.unlink(missing_ok=True)
        return lines

    return read


@pytest.fixture
def write_config(tmp_path):
    def write(name, extra='', width=8, score=0.1, max_iters=4):
        path = tmp_path / 'configs' / f'{name}.py'
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            textwrap.dedent(
                f"""
                model = dict(width={width}, test_cfg=dict(score={score}))
                train_dataloader = dict(dataset=dict(type='x'))
                train_cfg = dict(max_iters={max_iters}, val_interval=2)
                randomness = dict(seed=0)
                work_dir = None
                load_from = None
                """
            )
            + extra
        )
        return path

    return write


@pytest.fixture
def read_json():
    return lambda path: json.loads(path.read_text())
