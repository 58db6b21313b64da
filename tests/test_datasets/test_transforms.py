"""Segment maps as loaded, and after the training pipeline of COCO."""

from collections import Counter

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import MODELS
from PIL import Image
from scipy import ndimage

from freeseg_mm.datasets.transforms import (
    LoadPanopticSegments,
    MultiTaskSampler,
)
from freeseg_mm.structures import (
    BACKGROUND_SEGMENT_ID,
    FIRST_SEGMENT_ID,
    Task,
)
from freeseg_mm.utils.panoptic_png import BACKGROUND_ID, encode_panoptic_png

LOAD = [
    {'type': 'LoadImageFromFile'},
    {'type': 'freeseg_mm.LoadPanopticSegments'},
]
SKY, CAT, CROWD = (FIRST_SEGMENT_ID + i for i in range(3))
CROP = 64
TASKS = tuple(Task)


@pytest.fixture
def coco(repo):
    """The COCO config with crops of 64 instead of 640 pixels."""
    config = Config.fromfile(repo / 'configs/freeseg/coco.py')
    size = (CROP, CROP)
    for transform in config.train_dataloader.dataset.pipeline:
        if transform.type == 'RandomChoiceResize':
            ratio = CROP / 640
            transform.scales = [
                tuple(round(side * ratio) for side in scale)
                for scale in transform.scales
            ]
        elif transform.type == 'RandomCrop':
            transform.crop_size = size
    preprocessor = config.model.data_preprocessor
    assert preprocessor.batch_augments[0].type == 'BatchFixedSizePad'
    preprocessor.batch_augments[0].size = size
    return config


def test_hidden_and_void_pixels_become_zero_and_segments_are_renumbered(pets):
    sample = pets.dataset(pipeline=LOAD)[0]
    np.testing.assert_array_equal(
        sample['gt_seg_map'],
        [
            [SKY, SKY, SKY, SKY, SKY, 0],
            [SKY, CAT, CAT, SKY, 0, 0],
            [CROWD, CAT, CAT, 0, 0, 0],
            [CROWD, CAT, CAT, 0, 0, 0],
        ],
    )
    assert sample['gt_seg_map'].dtype == np.int32
    assert sample['segments'] == [
        {'id': SKY, 'label': 1, 'iscrowd': 0},
        {'id': CAT, 'label': 0, 'iscrowd': 0},
        {'id': CROWD, 'label': 0, 'iscrowd': 1},
    ]
    assert 'hidden_ids' not in sample


def test_map_is_that_of_a_look_at_every_pixel(tmp_path):
    rng = np.random.default_rng(0)
    ids = np.array([0, 7, 70_000, BACKGROUND_ID, 9])[
        np.kron(rng.integers(0, 5, (9, 11)), np.ones((3, 4), int))
    ]
    encode_panoptic_png(ids, tmp_path / 'ids.png')
    loaded = LoadPanopticSegments().transform(
        {
            'img_path': 'a.jpg',
            'ori_shape': ids.shape,
            'seg_map_path': str(tmp_path / 'ids.png'),
            'segments': [{'id': i, 'label': 0, 'iscrowd': 0} for i in (9, 7)],
            'hidden_ids': [70_000],
        }
    )
    expected = np.zeros_like(ids)
    for old, new in (
        (9, FIRST_SEGMENT_ID),
        (7, FIRST_SEGMENT_ID + 1),
        (BACKGROUND_ID, BACKGROUND_SEGMENT_ID),
    ):
        expected[ids == old] = new
    assert loaded['gt_seg_map'].dtype == np.int32
    np.testing.assert_array_equal(loaded['gt_seg_map'], expected)


def test_nothing_is_hidden_under_full_supervision(pets):
    sample = pets.dataset(split='all', pipeline=LOAD)[1]
    assert sample['img_id'] == 2
    assert {s['label'] for s in sample['segments']} == {0, 2}
    assert sample['gt_seg_map'].min() == FIRST_SEGMENT_ID


def test_loading_twice_gives_the_same(pets):
    # a transform that wrote into the dataset's records would not
    dataset = pets.dataset(pipeline=LOAD, serialize_data=False)
    first, second = dataset[0], dataset[0]
    np.testing.assert_array_equal(first['gt_seg_map'], second['gt_seg_map'])
    assert first['segments'] == second['segments']


def test_unlisted_ids_are_refused(pets):
    ids = pets.ids(1)
    ids[0, :3] = (9, 70000, 9)
    encode_panoptic_png(ids, pets.png(1))
    with pytest.raises(ValueError, match='segment ids') as caught:
        pets.dataset(pipeline=LOAD)[0]
    assert str(caught.value) == (
        f'{pets.png(1)}: segment ids [9, 70000] are in the panoptic PNG but '
        "not in its annotation's segments_info"
    )


def test_background_keeps_an_id_of_its_own(pets):
    ids = pets.ids(1)
    ids[0, 4:] = BACKGROUND_ID
    encode_panoptic_png(ids, pets.png(1))
    sample = pets.dataset(pipeline=LOAD)[0]
    assert sample['gt_seg_map'][0].tolist() == [
        *[SKY] * 4,
        *[BACKGROUND_SEGMENT_ID] * 2,
    ]
    # as in COCO, a segment may have the very id
    ids[ids == pets.content['annotations'][0]['segments_info'][0]['id']] = (
        BACKGROUND_ID
    )
    encode_panoptic_png(ids, pets.png(1))
    pets.content['annotations'][0]['segments_info'][0]['id'] = BACKGROUND_ID
    pets.write_json()
    sample = pets.dataset(pipeline=LOAD)[0]
    assert sample['gt_seg_map'][0].tolist() == [SKY] * 6


def test_png_of_another_size_is_refused(pets):
    encode_panoptic_png(pets.ids(1)[:3], pets.png(1))
    with pytest.raises(ValueError, match='panoptic PNG is') as caught:
        pets.dataset(pipeline=LOAD)[0]
    assert str(caught.value).startswith(
        f'{pets.png(1)}: the panoptic PNG is (3, 6) (height, width), its '
        f'image {pets.image(1)} (4, 6); note that'
    )


def test_image_turned_by_its_exif_orientation_is_refused(pets):
    image = Image.open(pets.image(1))
    exif = image.getexif()
    exif[0x0112] = 6  # a quarter turn
    image.save(pets.image(1), exif=exif)
    with pytest.raises(ValueError, match='EXIF') as caught:
        pets.dataset(pipeline=LOAD)[0]
    assert f'image {pets.image(1)} has EXIF' in str(caught.value)


def test_truncated_png_is_named(pets):
    content = pets.png(1).read_bytes()
    pets.png(1).write_bytes(content[:-30])
    with pytest.raises(ValueError, match='cannot decode panoptic') as caught:
        pets.dataset(pipeline=LOAD)[0]
    assert str(pets.png(1)) in str(caught.value)


def test_missing_png_is_named(pets):
    pets.png(1).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        pets.dataset(pipeline=LOAD)[0]
    assert str(caught.value) == f'no panoptic PNG {pets.png(1)}'


def expected_map(loaded, sample):
    """Nearest pixel of the loaded map, by the sample's own bookkeeping."""
    height, width = sample['img_shape']
    full_height, full_width = loaded.shape
    resized = [
        int(side * sample['scale_factor'][axis] + 0.5)
        for axis, side in ((1, full_height), (0, full_width))
    ]
    x, y = np.arange(width), np.arange(height)
    move_x, move_y = sample['homography_matrix'][:2, 2]
    if sample['flip']:  # the matrix flips after the crop: width - (x - left)
        x, left = width - 1 - x, move_x - width
    else:
        left = -move_x
    rows = (y - move_y) * (full_height / resized[0])
    columns = (x + left) * (full_width / resized[1])
    return loaded[np.ix_(rows.astype(int), columns.astype(int))]


def test_map_follows_the_image_through_the_training_pipeline(large_pets, coco):
    pipeline = coco.train_dataloader.dataset.pipeline
    kinds = [transform.type for transform in pipeline]
    geometric = [
        transform
        for transform in pipeline
        if transform.type not in ('PhotoMetricDistortion', 'PackDetInputs')
    ]
    assert len(geometric) == len(kinds) - 2
    dataset = large_pets.dataset(pipeline=geometric)
    loaded = large_pets.dataset(pipeline=LOAD)[0]['gt_seg_map']
    colour = {SKY: (0, 0, 255), CAT: (255, 255, 0)}
    np.random.seed(0)
    seen = set()
    for _ in range(40):
        sample = dataset[0]
        found = sample['gt_seg_map']
        seen.add((sample['flip'], found.shape))
        np.testing.assert_array_equal(found, expected_map(loaded, sample))
        for id_, rgb in colour.items():
            inside = ndimage.binary_erosion(found == id_, iterations=4)
            pixels = sample['img'][inside][:, ::-1].astype(int)
            assert (np.abs(pixels - rgb) < 40).all()
    # flipped or not, smaller than the crop and cropped
    assert {flip for flip, _ in seen} == {True, False}
    assert (CROP, CROP) in {shape for _, shape in seen}
    assert len({shape for _, shape in seen}) > 3


def test_hidden_pixels_are_in_no_segment_after_the_pipeline(large_pets, coco):
    # dogs are red: no pixel well inside red may have a segment
    pipeline = [
        transform
        for transform in coco.train_dataloader.dataset.pipeline
        if transform.type != 'PhotoMetricDistortion'
    ]
    dataset = large_pets.dataset(pipeline=pipeline)
    np.random.seed(0)
    checked = 0
    for _ in range(30):
        sample = dataset[0]
        blue, green, red = sample['inputs'].numpy()
        dog = (red > 200) & (green < 60) & (blue < 60)
        dog = ndimage.binary_erosion(dog, iterations=2)
        ids = sample['data_samples'].gt_sem_seg.sem_seg[0].numpy()
        assert set(np.unique(ids)) <= {0, SKY, CAT, CROWD}
        assert (ids[dog] == 0).all()
        checked += dog.sum()
    assert checked > 1000


def test_padding_of_a_batch_is_in_no_segment(large_pets, coco):
    dataset = large_pets.dataset(
        pipeline=coco.train_dataloader.dataset.pipeline
    )
    preprocessor = MODELS.build(coco.model.data_preprocessor)
    np.random.seed(0)
    padded = 0
    for _ in range(8):
        samples = [dataset[0], dataset[1]]
        shapes = [tuple(sample['inputs'].shape[1:]) for sample in samples]
        maps = [
            sample['data_samples'].gt_sem_seg.sem_seg.clone()
            for sample in samples
        ]
        batch = preprocessor(
            {
                'inputs': [sample['inputs'] for sample in samples],
                'data_samples': [sample['data_samples'] for sample in samples],
            },
            training=True,
        )
        assert batch['inputs'].shape == (2, 3, CROP, CROP)
        assert len({sample.task for sample in batch['data_samples']}) == 1
        for (height, width), before, sample in zip(
            shapes, maps, batch['data_samples'], strict=True
        ):
            after = sample.gt_sem_seg.sem_seg
            assert after.shape == (1, CROP, CROP)
            assert sample.batch_input_shape == (CROP, CROP)
            assert torch.equal(after[:, :height, :width], before)
            padding = torch.ones_like(after, dtype=torch.bool)
            padding[:, :height, :width] = False
            assert (after[padding] == 0).all()
            padded += int(padding.sum())
    assert padded > 0


def test_builds_without_arguments_only():
    with pytest.raises(TypeError, match='takes no arguments'):
        Compose([{'type': 'freeseg_mm.LoadPanopticSegments', 'hidden': 1}])


def draw(count, tasks=TASKS):
    sampler = MultiTaskSampler()
    return [sampler({'tasks': tasks})['task'] for _ in range(count)]


def test_replaces_tasks_by_one_task():
    sample = MultiTaskSampler()({'tasks': TASKS, 'img_id': 3})
    assert set(sample) == {'task', 'img_id'}
    assert isinstance(sample['task'], Task)


def test_tasks_are_drawn_uniformly():
    np.random.seed(0)
    counts = Counter(draw(3000))
    # 13.8 is exceeded by one in a thousand uniform samplers
    chi_square = sum((counts[task] - 1000) ** 2 / 1000 for task in TASKS)
    assert chi_square < 13.8
    # and the order is no cycle: all nine pairs follow each other
    np.random.seed(0)
    tasks = draw(3000)
    pairs = Counter(zip(tasks, tasks[1:], strict=False))
    assert len(pairs) == 9
    assert min(pairs.values()) > 250


def test_same_seed_draws_the_same_tasks():
    np.random.seed(1)
    first = draw(20)
    np.random.seed(1)
    assert draw(20) == first
    np.random.seed(2)
    assert draw(20) != first


@pytest.mark.parametrize('task', TASKS)
def test_single_task_is_always_drawn(task):
    assert set(draw(10, (task,))) == {task}


def test_absent_task_is_never_drawn():
    assert set(draw(50, TASKS[:2])) == set(TASKS[:2])
