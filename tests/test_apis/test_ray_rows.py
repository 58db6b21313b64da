"""Results as rows; by Ray Data on two nodes, one of which is killed."""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from freeseg_mm.apis import RayPredictor, rows_to_coco

pytest.importorskip(
    'pyarrow', reason="rows are pyarrow's: pip install -r requirements/tests"
)
CLASSES = ['dragon', 'house', 'cat|kitten', 'lawn']
SLOWNESS = 0.3


@pytest.fixture
def folder(noise, tmp_path):
    """Sixteen images, one of them damaged."""
    folder = tmp_path / 'images'
    folder.mkdir()
    for seed in range(16):
        Image.fromarray(noise(seed=seed)).save(folder / f'{seed:02}.png')
    (folder / '07.png').write_text('no image')
    return folder


@pytest.fixture
def arguments(tiny_weights):
    config, weights = map(str, tiny_weights)
    return {
        'model': config,
        'checkpoint': weights,
        'classes': CLASSES,
        'device': 'cpu',
        'score_thr': 0.0,
    }


@pytest.fixture
def predictor(arguments):
    return RayPredictor(**arguments)


def test_a_row_an_object(predictor, tiny_inferencer, folder):
    paths = [str(folder / f'{n:02}.png') for n in (3, 7)]
    table = predictor({'path': np.array(paths)})
    rows = table.to_pylist()
    (expected,) = tiny_inferencer(paths[0], CLASSES, score_thr=0.0)
    content = expected.to_json()
    found = [row for row in rows if row['image'] == paths[0]]
    for task, key in (
        ('semantic', 'semantic'),
        ('instance', 'instances'),
        ('panoptic', 'panoptic'),
    ):
        own = [row for row in found if row['task'] == task]
        assert [row['object'] for row in own] == list(range(len(own)))
        assert len(own) == len(content[key]) > 0
        for row, entry in zip(own, content[key], strict=True):
            assert row['class'] == entry['name']
            assert row['category_id'] == entry['category_id']
            assert row['score'] == entry.get('score')
            assert row['area'] == entry['area']
            assert row['rle'] == entry['segmentation']['counts']
            assert [row['height'], row['width']] == [48, 64]
            assert row['error'] is None
    (failed,) = (row for row in rows if row['image'] == paths[1])
    assert failed['error'].startswith(f'{paths[1]}: not an image that can')
    assert failed['class'] is None


def test_pixels_and_bytes_are_as_files(predictor, folder, noise):
    paths = [str(folder / f'{n:02}.png') for n in range(9)]
    rows = predictor({'path': paths}).to_pylist()
    contents = [Path(path).read_bytes() for path in paths]
    # as Ray gives them
    contents = np.array(contents, dtype=object)
    assert predictor({'path': paths, 'bytes': contents}).to_pylist() == rows
    images = [noise(seed=seed) for seed in range(9)]
    found = predictor({'path': paths, 'image': np.array(images)}).to_pylist()
    damaged = [row for row in found if row['image'] == paths[7]]
    assert damaged[0]['error'] is None
    others = [row for row in found if row['image'] != paths[7]]
    assert others == [row for row in rows if row['image'] != paths[7]]


def test_nothing_found_is_a_row(arguments, folder):
    predictor = RayPredictor(
        **{**arguments, 'score_thr': 1.0, 'tasks': ['instance']}
    )
    (row,) = predictor({'path': [str(folder / '01.png')]}).to_pylist()
    assert (row['class'], row['error'], row['height']) == (None, None, 48)


def test_names_are_needed(predictor):
    with pytest.raises(ValueError, match='include_paths=True'):
        predictor({'bytes': [b'']})


def test_what_is_wrong_is_refused_at_once(arguments):
    with pytest.raises(ValueError, match='score_thr'):
        RayPredictor(**{**arguments, 'score_thr': 2.0})
    with pytest.raises(TypeError, match='scor_thr'):
        RayPredictor(**arguments, scor_thr=0.5)


def test_coco_of_rows(predictor, folder, tmp_path):
    paths = [str(folder / f'{n:02}.png') for n in (2, 7, 5)]
    rows = predictor({'path': paths}).to_pylist()
    with pytest.raises(ValueError, match='expected rows sorted by image'):
        rows_to_coco(lambda: rows, tmp_path / 'coco.json', CLASSES)
    rows.sort(key=lambda row: (row['image'], row['object'] or 0))
    rows_to_coco(lambda: rows, tmp_path / 'coco.json', CLASSES)
    coco = COCO(tmp_path / 'coco.json')
    names = [image['file_name'] for image in coco.loadImgs(coco.getImgIds())]
    assert names == [paths[0], paths[2]]
    instances = [row for row in rows if row['task'] == 'instance']
    assert len(coco.getAnnIds()) == len(instances)
    for row, annotation in zip(
        instances, coco.loadAnns(sorted(coco.getAnnIds())), strict=True
    ):
        mask = coco.annToMask(annotation)
        assert mask.sum() == row['area']
        left, top, width, height = map(int, annotation['bbox'])
        box = mask[top : top + height, left : left + width]
        assert box.sum() == row['area']


# --- Ray ---------------------------------------------------------------------


class SlowPredictor(RayPredictor):
    """Predicts long enough to be killed on the way; notes its process."""

    def __init__(self, notes, **arguments):
        super().__init__(**arguments)
        self.notes = Path(notes)

    def __call__(self, batch):
        time.sleep(SLOWNESS)
        with open(self.notes / str(os.getpid()), 'a') as file:
            file.write('x' * len(batch['path']))
        return super().__call__(batch)


@pytest.fixture
def two_nodes(monkeypatch):
    """A local cluster of two node processes; the second one."""
    ray = pytest.importorskip('ray', reason='Ray is not installed')
    pytest.importorskip('ray.data')
    from ray.cluster_utils import Cluster

    monkeypatch.setenv('RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO', '0')
    size = {'num_cpus': 2, 'object_store_memory': 80 << 20}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={**size, 'include_dashboard': False},
    )
    second = cluster.add_node(**size)
    ray.init(address=cluster.address, log_to_driver=False)
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield cluster, second
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.slow
def test_two_nodes_make_the_rows_of_one_process(
    two_nodes, arguments, folder, tmp_path
):
    """One is killed after the first rows: none is lost, none comes twice."""
    import ray

    cluster, second = two_nodes
    notes = tmp_path / 'notes'
    notes.mkdir()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as an actor has
    paths = sorted(map(str, folder.iterdir()))
    expected = RayPredictor(**arguments)({'path': paths}).to_pylist()
    torch.set_num_threads(threads)

    images = ray.data.read_binary_files(
        str(folder), include_paths=True, override_num_blocks=8
    )
    rows = images.map_batches(
        SlowPredictor,
        fn_constructor_kwargs={'notes': str(notes), **arguments},
        batch_size=2,
        concurrency=2,
    )
    found = []
    for batch in rows.iter_batches(batch_size=None, batch_format='pyarrow'):
        found += batch.to_pylist()
        if second is not None:
            cluster.remove_node(second, allow_graceful=False)
            second = None
    done = [path.stat().st_size for path in notes.iterdir()]
    print(f'images of each process: {done}, {len(found)} rows')
    assert len(done) >= 2

    def order(row):
        return row['image'], row['task'] or '', row['object'] or 0

    assert sorted(found, key=order) == sorted(expected, key=order)
