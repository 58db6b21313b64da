"""What training sees cannot depend on what unseen segments are."""

import json
import shutil

import numpy as np
import pytest
import torch
from mmengine.config import Config

from freeseg_mm.datasets import OpenVocabPanopticDataset
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.panoptic_png import (
    decode_panoptic_png,
    encode_panoptic_png,
)

JSON = 'annotations/panoptic_train.json'
PNGS = 'annotations/panoptic_train'


@pytest.fixture
def world(shapes_world, tmp_path):
    """A copy of the shapes world that may be changed."""
    return shutil.copytree(shapes_world, tmp_path / 'world')


def change_annotations(root, change):
    """Let ``change(annotation, is_seen)`` edit every annotation."""
    content = json.loads((root / JSON).read_text())
    vocabulary = Vocabulary.load(root / 'vocabulary.json')
    is_seen = {
        category['id']: vocabulary.is_seen[vocabulary.index(category['name'])]
        for category in content['categories']
    }
    for annotation in content['annotations']:
        change(annotation, is_seen)
    (root / JSON).write_text(json.dumps(content))


def make_labels_random(root, seen):
    rng = np.random.default_rng(0)

    def change(annotation, is_seen):
        ids = [id_ for id_, known in is_seen.items() if known == seen]
        for segment in annotation['segments_info']:
            if is_seen[segment['category_id']] == seen:
                segment['category_id'] = int(rng.choice(ids))
                segment['area'] = 1
                segment['bbox'] = [0, 0, 1, 1]

    change_annotations(root, change)


def erase_unseen(root):
    def change(annotation, is_seen):
        path = root / PNGS / annotation['file_name']
        ids = decode_panoptic_png(path)
        kept = [
            segment
            for segment in annotation['segments_info']
            if is_seen[segment['category_id']]
        ]
        ids[~np.isin(ids, [segment['id'] for segment in kept])] = 0
        encode_panoptic_png(ids, path)
        annotation['segments_info'] = kept

    change_annotations(root, change)


def training_samples(repo, root):
    """Every sample twice, as the shapes config trains on it."""
    config = Config.fromfile(repo / 'configs/freeseg/shapes.py')
    settings = config.train_dataloader.dataset
    settings.pop('type')
    settings.data_root = str(root)
    dataset = OpenVocabPanopticDataset(**settings)
    np.random.seed(0)
    return [dataset[i] for _ in range(2) for i in range(len(dataset))]


def content_of(sample):
    """All a sample holds, with its image's path made comparable."""
    data_sample = sample['data_samples']
    meta = dict(data_sample.metainfo)
    meta['img_path'] = meta['img_path'].rsplit('/', 1)[-1]
    fields = data_sample.keys()
    assert set(fields) == {'gt_sem_seg', 'gt_instances', 'ignored_instances'}
    assert len(data_sample.gt_instances) == 0
    return sample['inputs'], data_sample.gt_sem_seg.sem_seg, meta


def are_equal(first, second):
    return len(first) == len(second) and all(
        torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) and a[2] == b[2]
        for a, b in zip(
            map(content_of, first), map(content_of, second), strict=True
        )
    )


@pytest.mark.parametrize(
    'poison', [lambda root: make_labels_random(root, seen=False), erase_unseen]
)
def test_training_samples_do_not_depend_on_unseen_segments(
    repo, shapes_world, world, poison
):
    before = (world / JSON).read_text()
    poison(world)
    assert (world / JSON).read_text() != before
    clean = training_samples(repo, shapes_world)
    assert are_equal(clean, training_samples(repo, world))
    # unseen segments are there to be hidden
    ignored = [(content_of(sample)[1] == 0).float().mean() for sample in clean]
    assert max(ignored) > 0.1


def test_training_samples_depend_on_seen_labels(repo, shapes_world, world):
    make_labels_random(world, seen=True)
    assert not are_equal(
        training_samples(repo, shapes_world), training_samples(repo, world)
    )
