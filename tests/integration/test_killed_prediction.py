"""Many images predicted: killed on the way, in little memory, without waits.

pytest tests/integration/test_killed_prediction.py --images 2000 --kills 5 -s
"""

import json
import os
import random
import re
import time
from pathlib import Path

import numpy as np
import pytest
from inference_fixtures import *  # noqa: F403
from PIL import Image
from warm_processes import run_warm

from freeseg_mm.apis.inputs import list_images
from freeseg_mm.utils.parallel import ordered_map

SCRIPT = Path(__file__).parent / 'killed_prediction.py'
ENDED = re.compile(r'ended: (\S+) at (\d+) .* memory (\d+) to (\d+) MiB')


@pytest.fixture
def count(request):
    return request.config.getoption('--images') or 60


@pytest.fixture
def folder(tmp_path, count):
    folder = tmp_path / 'images'
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(count):
        small = generator.integers(0, 256, (4, 6, 3), np.uint8)
        image = Image.fromarray(small).resize((48, 32))
        image.save(folder / f'{number:06d}.png')
    (folder / '000007.png').write_text('no image')
    return folder


@pytest.fixture
def predict(folder, tiny_weights, tmp_path):
    """Predict the folder, killed at so many images; how the runs ended."""

    def run(out, kills):
        config, weights = tiny_weights
        done = run_warm(
            [
                *(SCRIPT, tmp_path / out / '.predicting-1-of-1.jsonl'),
                ','.join(map(str, kills)),
                *(folder, '--classes', 'cat, dog|puppy, lawn'),
                *('--config', config, '--checkpoint', weights),
                *('--device', 'cpu', '--out', tmp_path / out),
                *('--format', 'coco', 'json'),
            ],
            timeout=None,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        ends = ENDED.findall(done.stdout)
        print('\n'.join(re.findall('ended: .*', done.stdout)))
        return [tuple(map(int, end)) for end in ends]

    return run


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork here')
def test_killed_at_random_and_resumed_equals_one_run(
    predict, count, tmp_path, request
):
    moments = random.Random(count)
    number = request.config.getoption('--kills') or 2
    kills = sorted(moments.sample(range(count), number))
    (whole,) = predict('whole', [])
    ends = predict('killed', kills)
    assert [end[0] for end in ends] == [*(-9 for _ in kills), 0]
    for kill, end in zip(kills, ends, strict=False):
        assert kill <= end[1]
    expected = files_of(tmp_path / 'whole')
    assert files_of(tmp_path / 'killed') == expected
    content = json.loads(expected['instances.json'])
    ids = [image['id'] for image in content['images']]
    assert ids == list(range(1, count))  # one is no image
    assert len(json.loads(expected['failures.json'])) == 1
    assert len(expected) > 3 * count
    # flat: what grows with the images is their names alone
    _, _, first, last = whole
    assert last - first < 30, 'MiB more at the end than at the beginning'


DELAY, NETWORK = 0.04, 0.02


def test_the_network_does_not_wait_for_a_slow_disk(
    tiny_inferencer, folder, tmp_path, monkeypatch, count, request
):
    """Reads and writes take twice as long as the network, which sleeps."""
    files = list_images(folder)[:count]
    (result,) = tiny_inferencer(files[0], ['cat'], tasks='semantic')
    read = Path.read_bytes
    busy, waited = [], []

    def slow_read(path):
        time.sleep(DELAY)
        return read(path)

    def network(self, ready, *_):
        waited.append(time.perf_counter() - busy[-1][1])
        began = time.perf_counter()
        time.sleep(NETWORK)
        busy.append((began, time.perf_counter()))
        return [result for _ in ready]

    def slow_write(written):
        time.sleep(DELAY)
        return written

    monkeypatch.setattr(Path, 'read_bytes', slow_read)
    monkeypatch.setattr(type(tiny_inferencer), '_predict', network)
    shares = {}
    for workers in (0, 4):
        busy[:], waited[:] = [(0, time.perf_counter())], []
        outcomes = tiny_inferencer.stream(files, ['cat'], num_workers=workers)
        written = ordered_map(
            slow_write, outcomes, threads=workers, ahead=workers
        )
        assert len(list(written)) == len(files)
        # the first image is waited for in any case
        shares[workers] = sum(waited[1:]) / (busy[-1][1] - busy[1][1])
    print(
        f'the network waits: {shares[0]:.1%}; with 4 threads {shares[4]:.1%}'
    )
    assert shares[0] > 0.7
    # other tests share the cores, unless it is asked for alone
    alone = request.config.getoption('--images') is not None
    assert shares[4] < (0.1 if alone else 0.5)
