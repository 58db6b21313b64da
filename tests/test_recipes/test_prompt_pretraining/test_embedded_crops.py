"""CLIP is shown what it is shown when FreeSeg is tested."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from freeseg_mm.models.clip import CropMaskClassifier
from freeseg_mm.recipes.prompt_pretraining import (
    ChosenMasks,
    choose_crops,
    embed_crops,
    seen_dataset,
)
from freeseg_mm.structures import Task
from freeseg_mm.utils.panoptic_png import decode_panoptic_png


@pytest.fixture
def choice(dataset):
    return choose_crops(dataset, per_class=2, held_out=0.5, seed=0)


@pytest.fixture
def gt(shapes_world):
    """File, class names and masks of each training scene, as generated."""
    folder = shapes_world / 'annotations'
    content = json.loads((folder / 'panoptic_train.json').read_text())
    names = {entry['id']: entry['name'] for entry in content['categories']}
    return {
        Path(annotation['file_name']).stem: [
            (names[info['category_id']], ids == info['id'])
            for info in annotation['segments_info']
        ]
        for annotation in content['annotations']
        for ids in [
            decode_panoptic_png(
                folder / 'panoptic_train' / annotation['file_name']
            )
        ]
    }


def test_crops_are_those_of_the_classifier(dataset, choice, clip, gt):
    masks = ChosenMasks(dataset, choice, 0)
    crops = embed_crops(masks, clip, CropMaskClassifier(), workers=0)

    assert len(crops) == sum(map(len, choice.masks.values()))
    vocabulary = dataset.sample_vocabulary
    row = next(
        row
        for row in range(len(crops))
        if crops.tasks[row] == list(Task).index(Task.SEMANTIC)
    )
    record = dataset.get_data_info(int(crops.images[row]))
    name = vocabulary.names[crops.labels[row]]
    regions = gt[Path(record['img_path']).stem]
    inside = np.any([mask for other, mask in regions if other == name], 0)
    with Image.open(record['img_path']) as file:
        image = torch.from_numpy(np.asarray(file.convert('RGB')).copy())
    expected, _ = CropMaskClassifier()(
        clip,
        image.permute(2, 0, 1)[None].float(),
        torch.from_numpy(np.where(inside, 5.0, -5.0)).float()[None, None],
    )
    # decoders may round a pixel of a JPEG another way
    assert_close(crops.embeds[row], expected[0, 0], rtol=0, atol=2e-2)


@pytest.mark.parametrize('split', ['seen', 'all'])
def test_no_mask_of_an_unseen_class(tiny_run_config, gt, split):
    """Whatever split the config's training has."""
    tiny_run_config.train_dataloader.dataset.split = split
    dataset = seen_dataset(tiny_run_config)
    vocabulary = dataset.vocabulary
    choice = choose_crops(dataset, per_class=99, held_out=0.5, seed=0)
    masks = ChosenMasks(dataset, choice, 0)

    assert dataset.sample_vocabulary == vocabulary.seen_only()
    assert any(
        not vocabulary.is_seen[vocabulary.index(name)]
        for regions in gt.values()
        for name, _ in regions
    )
    for item in map(masks.__getitem__, range(len(masks))):
        record = dataset.get_data_info(item['index'])
        for name, region in gt[Path(record['img_path']).stem]:
            if not vocabulary.is_seen[vocabulary.index(name)]:
                assert not item['masks'][:, torch.from_numpy(region)].any()


def test_one_mask_of_each_choice(dataset, choice):
    masks = ChosenMasks(dataset, choice, 0)
    items = [masks[place] for place in range(len(masks))]

    for item, chosen in zip(items, choice.masks.values(), strict=True):
        found = zip(
            item['tasks'].tolist(), item['labels'].tolist(), strict=True
        )
        assert [(list(Task)[task], label) for task, label in found] == chosen
        assert item['masks'].shape[1:] == item['image'].shape[1:]
        assert item['masks'].flatten(1).any(1).all()
