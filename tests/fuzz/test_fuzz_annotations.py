"""Annotations: COCO's JSON files, label PNGs, lists of public downloads."""

import contextlib
import io
import json
import shutil

import numpy as np
import pytest
from download_trees import AdeTree, CocoTree, VocTree
from fuzzing import Case, fuzz, json_bytes, mutated_bytes, mutated_text
from PIL import Image

from freeseg_mm.datasets import OpenVocabPanopticDataset
from freeseg_mm.datasets.checking_json import (
    InstancesJson,
    check_panoptic_json,
)
from freeseg_mm.datasets.preparation.ade20k import prepare_ade20k
from freeseg_mm.datasets.preparation.coco import prepare_coco
from freeseg_mm.datasets.preparation.own_coco import (
    import_instances,
    import_panoptic,
)
from freeseg_mm.datasets.preparation.own_data import (
    ImportOptions,
    import_semantic,
)
from freeseg_mm.datasets.preparation.voc import prepare_voc
from freeseg_mm.evaluation import OpenVocabInsMetric
from freeseg_mm.structures import Vocabulary

SIZE = 64, 64


class World:
    """The validation split of the shapes benchmark, to be damaged.

    Attributes:
        panoptic: Content of its panoptic JSON.
        instances: Content of its instances JSON.
    """

    def __init__(self, root):
        self.root = root
        self.annotations = root / 'annotations'
        self.images = root / 'val'
        self.pngs = self.annotations / 'panoptic_val'
        self.masks = self.annotations / 'semantic_val'
        self.vocabulary = Vocabulary.load(root / 'vocabulary.json')
        self.panoptic = self._read('panoptic_val')
        self.instances = self._read('instances_val')

    def _read(self, name):
        content = json.loads((self.annotations / f'{name}.json').read_text())
        # a few objects and pictures show what many do
        content['images'] = content['images'][:3]
        kept = {image['id'] for image in content['images']}
        content['annotations'] = [
            x for x in content['annotations'] if x['image_id'] in kept
        ]
        return content


@pytest.fixture(scope='module')
def world(shapes_world):
    return World(shapes_world)


def quiet(call):
    """Call, and drop what it prints."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        return call()


def is_prepared(target, split, names=None):
    """Read again, without the package, what a preparation wrote."""
    annotations = target / 'annotations'
    path = annotations / f'panoptic_{split}.json'
    content = json.loads(path.read_text())
    categories = {x['id'] for x in content['categories']}
    listed = {x['id']: x for x in content['images']}
    assert len(listed) == len(content['images']) > 0
    if names is not None:
        assert {x['file_name'] for x in listed.values()} == set(names)
    assert {x['image_id'] for x in content['annotations']} == set(listed)
    for annotation in content['annotations']:
        image = listed[annotation['image_id']]
        with Image.open(target / split / image['file_name']) as opened:
            assert opened.size == (image['width'], image['height'])
        png = annotations / f'panoptic_{split}' / annotation['file_name']
        with Image.open(png) as opened:
            pixels = np.asarray(opened).astype(int)
        assert pixels.shape == (image['height'], image['width'], 3)
        ids = pixels @ (1, 256, 256**2)
        areas = dict(zip(*np.unique(ids, return_counts=True), strict=True))
        for segment in annotation['segments_info']:
            assert segment['category_id'] in categories
            assert segment['area'] == areas.pop(segment['id'])
            assert segment['iscrowd'] in (0, 1)
        assert set(areas) <= {0, 256**3 - 1}


def of_json(rng, world, kind, folder):
    """A JSON that is imported, or read by a dataset, metric or check."""
    what, text = json_bytes(rng, getattr(world, kind))
    path = folder / f'{kind}.json'
    path.write_bytes(text)
    target = folder / 'out'
    options = ImportOptions(target, 'val', say=lambda _: None)
    doors = {
        'panoptic': (import_all, load_dataset, check_json),
        'instances': (import_all, check_json, score),
    }
    door = rng.choice(doors[kind])
    call, right = door(world, kind, path, options)
    # files that a JSON names are as good as its own name
    names = (str(path), str(world.root), str(target), '.jpg')
    return Case(f'{door.__name__} {kind}: {what}', call, right, names)


def import_all(world, kind, path, options):
    def call():
        if kind == 'instances':
            return import_instances(
                options, images=world.images, json_path=path
            )
        return import_panoptic(
            options, images=world.images, json_path=path, pngs=world.pngs
        )

    def right(_):
        content = json.loads(path.read_bytes())
        names = {x['file_name'] for x in content['images']}
        is_prepared(options.target, 'val', names)

    return call, right


def load_dataset(world, _, path, __):
    dataset = OpenVocabPanopticDataset(
        ann_file=str(path),
        vocabulary=str(world.root / 'vocabulary.json'),
        split='all',
        data_prefix={'img': str(world.images), 'seg': str(world.pngs)},
        lazy_init=True,
        test_mode=True,
    )

    def call():
        dataset.full_init()
        return [dataset.prepare_data(i) for i in range(len(dataset))]

    def right(records):
        content = json.loads(path.read_bytes())
        known = {x['id']: x for x in content['images']}
        assert len(records) == len(content['annotations'])
        for record in records:
            image = known[record['img_id']]
            assert record['img_path'].endswith(image['file_name'])
            assert record['height'], record['width'] == SIZE
            for segment in record['segments']:
                assert 0 <= segment['label'] < len(world.vocabulary)
                assert segment['iscrowd'] in (0, 1)

    return call, right


def check_json(world, kind, path, _):
    def call():
        if kind == 'panoptic':
            return check_panoptic_json(path, world.vocabulary).reasons
        found = InstancesJson(path, world.vocabulary)
        reasons = list(found.reasons)
        for number in (1, 2, 3):
            reasons += found.problems_of(number, SIZE)
        return reasons

    def right(reasons):
        assert all(type(reason) is str and reason for reason in reasons)
        content = json.loads(path.read_bytes())
        if not reasons:
            for image in content['images']:
                assert type(image['id']) is not str
                assert image['height'], image['width'] == SIZE

    return call, right


def score(world, _, path, __):
    """The metric on its own ground truth: nothing is found."""

    def call():
        metric = OpenVocabInsMetric(ann_file=str(path))
        metric.dataset_meta = {
            'classes': world.vocabulary.names,
            'vocabulary': world.vocabulary.to_dict(),
        }
        sample = {
            'img_id': 1,
            'ori_shape': SIZE,
            'pred_instances': {
                'bboxes': np.zeros((1, 4)),
                'labels': np.zeros(1, int),
                'scores': np.ones(1),
                'masks': np.ones((1, *SIZE), bool),
            },
        }
        metric.process({}, [as_tensors(sample)])
        return quiet(lambda: metric.evaluate(1))

    def right(values):
        assert values
        for value in values.values():
            assert np.isnan(value) or 0 <= value <= 100

    return call, right


def as_tensors(sample):
    import torch

    found = sample['pred_instances']
    return {
        **sample,
        'pred_instances': {k: torch.as_tensor(v) for k, v in found.items()},
    }


def of_masks(rng, world, folder):
    """A folder of label PNGs with something wrong in it."""
    images, masks = folder / 'images', folder / 'masks'
    shutil.copytree(world.images, images)
    shutil.copytree(world.masks, masks)
    classes = folder / 'classes.txt'
    text = '\n'.join(world.vocabulary.names)
    how = 'whole'
    chance = rng.random()
    if chance < 0.5:
        path = rng.choice(sorted(masks.iterdir()))
        how = damage(rng, path)
    elif chance < 0.7:
        path = rng.choice(sorted(images.iterdir()))
        how = damage(rng, path)
    else:
        how, text = mutated_text(rng, text)
    classes.write_bytes(
        rng.randbytes(30) if rng.random() < 0.05 else text.encode()
    )
    options = ImportOptions(folder / 'out', 'val', say=lambda _: None)
    return Case(
        f'semantic {how}',
        lambda: import_semantic(
            options, images=images, masks=masks, classes=classes
        ),
        lambda _: is_prepared(options.target, 'val'),
        (str(folder),),
    )


def damage(rng, path):
    """Change a file, its name or its kind; say how."""
    chance = rng.random()
    if chance < 0.6:
        how, content = mutated_bytes(rng, path.read_bytes())
        path.write_bytes(content)
    elif chance < 0.7:
        path.unlink()
        how = 'gone'
    elif chance < 0.75:
        path.unlink()
        path.mkdir()
        how = 'a folder'
    elif chance < 0.8:
        target = path.with_name(f'x{path.name}')
        path.rename(target)
        how = 'renamed'
    else:
        mode = rng.choice(('1', 'L', 'P', 'RGB', 'RGBA', 'I;16'))
        size = rng.choice((SIZE, (63, 64), (1, 1)))
        level = rng.choice((0, 200, 254))
        Image.new('L', size, level).convert(mode).save(path, 'PNG')
        how = f'{mode} {size} {level}'
    return f'{path.name} {how}'


def of_download(rng, folder):
    """A public download with one of its files damaged."""
    name = rng.choice(('coco', 'ade20k', 'voc'))
    if name == 'coco':
        tree, prepare, split = CocoTree(folder), prepare_coco, 'val2017'
        tree.write(split, 2)
    elif name == 'ade20k':
        tree, prepare, split = AdeTree(folder), prepare_ade20k, 'validation'
        tree.write(split, 2)
        tree.write_instances(split, 2)
    else:
        tree, prepare, split = VocTree(folder), prepare_voc, 'val'
        tree.write()
    files = sorted(p for p in folder.rglob('*') if p.is_file())
    named = [p for p in files if p.suffix in ('.json', '.txt')]
    path = rng.choice(named if named and rng.random() < 0.6 else files)
    if path.suffix == '.json' and rng.random() < 0.8:
        how, content = json_bytes(rng, json.loads(path.read_bytes()))
        path.write_bytes(content)
    elif path.suffix == '.txt':
        how, text = mutated_text(rng, path.read_text())
        path.write_text(text)
    else:
        how = damage(rng, path)
    target = folder / 'out'
    options = {'splits': [split], 'subset': True, 'say': lambda _: None}

    def right(_):
        written = next((target / 'annotations').glob('panoptic_*.json'))
        is_prepared(target, written.stem.removeprefix('panoptic_'))

    return Case(
        f'{name} {path.name}: {how}',
        lambda: prepare(folder, target, **options),
        right,
        (str(folder),),
    )


def test_annotations(count, world, tmp_path):
    numbers = iter(range(count))

    def make(rng):
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        if folder.name != '0':
            shutil.rmtree(tmp_path / str(int(folder.name) - 1))
        chance = rng.random()
        if chance < 0.35:
            case = of_json(rng, world, 'panoptic', folder)
        elif chance < 0.7:
            case = of_json(rng, world, 'instances', folder)
        elif chance < 0.85:
            case = of_masks(rng, world, folder)
        else:
            case = of_download(rng, folder)
        call = case.call
        case.call = lambda: quiet(call)
        return case

    fuzz('annotations', make, count)


def test_whole_files_are_right(world, tmp_path):
    """The rules of the fuzzer hold for what is not damaged."""
    for kind in ('panoptic', 'instances'):
        folder = tmp_path / kind
        folder.mkdir()
        path = folder / f'{kind}.json'
        path.write_text(json.dumps(getattr(world, kind)))
        options = ImportOptions(folder / 'out', 'val', say=lambda _: None)
        doors = (load_dataset,) if kind == 'panoptic' else (score,)
        for door in (import_all, check_json, *doors):
            call, right = door(world, kind, path, options)
            right(quiet(call))
