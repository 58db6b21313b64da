"""Pseudo labels beside the ground truth of the four pets images."""

import json

import numpy as np
import pytest
import torch

from freeseg_mm.datasets.pseudo_labels import (
    PseudoLabelFiles,
    paste_pseudo_segments,
)
from freeseg_mm.structures import (
    BACKGROUND_SEGMENT_ID,
    FIRST_SEGMENT_ID,
    Task,
    task_targets,
)
from freeseg_mm.utils.panoptic_png import encode_panoptic_png

LOAD = [
    {'type': 'LoadImageFromFile'},
    {'type': 'freeseg_mm.LoadPanopticSegments'},
]
DOG = 300  # its id in the ground truth
# By image: a dog found on four of the seven pixels of the real one and on one
# that is void; a bit of one on an image of unseen classes alone.
FOUND = {
    1: [
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 1],
        [0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1, 1],
    ],
    2: [[0, 2, 2, 0, 0, 0], [0] * 6, [0] * 6, [0] * 6],
    3: [[0] * 6] * 4,
    4: [[0] * 6] * 4,
}


class Found:
    """Pseudo labels in files, to be changed before they are written."""

    def __init__(self, root):
        self.files = PseudoLabelFiles(root)
        self.maps = {i: np.array(rows) for i, rows in FOUND.items()}
        self.content = {
            'info': {},
            'images': [],
            'annotations': [
                {
                    'image_id': i,
                    'file_name': f'{i}.png',
                    'segments_info': [
                        {'id': int(id_), 'category_id': 1, 'score': 0.9}
                        for id_ in np.unique(rows)
                        if id_
                    ],
                }
                for i, rows in self.maps.items()
            ],
            'categories': [
                {'id': 1, 'name': 'dog'},
                {'id': 3, 'name': 'grass'},
            ],
        }

    def write(self):
        self.files.pngs.mkdir(parents=True)
        for number, ids in self.maps.items():
            encode_panoptic_png(ids, self.files.pngs / f'{number}.png')
        self.files.json.write_text(json.dumps(self.content))
        return str(self.files.root)


@pytest.fixture
def found(tmp_path):
    return Found(tmp_path / 'found')


@pytest.mark.parametrize(
    ('task', 'areas'),
    [
        (Task.SEMANTIC, {'sky': 7, 'cat': 6, 'dog': 5}),
        (Task.INSTANCE, {'cat': 6, 'dog': 5}),
        (Task.PANOPTIC, {'sky': 7, 'cat': 6, 'dog': 5}),
    ],
)
def test_one_pseudo_segment_serves_all_tasks(pets, found, task, areas):
    sample = pets.dataset(pipeline=LOAD, pseudo_labels=found.write())[0]
    vocabulary = sample['vocabulary']
    targets = task_targets(
        torch.from_numpy(sample['gt_seg_map']),
        sample['segments'],
        vocabulary,
        task,
    )
    labels, masks = targets.labels.tolist(), targets.masks
    assert areas == {
        vocabulary.names[label]: int(mask.sum())
        for label, mask in zip(labels, masks, strict=True)
    }
    # of 24 pixels 2 are a crowd's, 3 of a dog that nobody found, 1 is void
    assert int(targets.valid.sum()) == 18


def test_paste_leaves_labels_and_the_rest_alone(pets, found):
    sample = pets.dataset(pipeline=LOAD, pseudo_labels=found.write())[0]
    sky, cat, crowd, dog = (FIRST_SEGMENT_ID + i for i in range(4))
    np.testing.assert_array_equal(
        sample['gt_seg_map'],
        [
            [sky, sky, sky, sky, sky, 0],
            [sky, cat, cat, sky, dog, dog],
            [crowd, cat, cat, 0, dog, 0],
            [crowd, cat, cat, 0, dog, dog],
        ],
    )
    assert sample['gt_seg_map'].dtype == np.int32
    assert sample['segments'][-1] == {'id': dog, 'label': 0, 'iscrowd': 0}
    assert not {'pseudo_path', 'pseudo_segments'} & set(sample)


def test_names_of_found_classes_join_the_seen_ones(pets, found):
    dataset = pets.dataset(pipeline=LOAD, pseudo_labels=found.write())
    vocabulary = dataset[0]['vocabulary']
    # no grass was found, and the seen classes stay the seen ones
    assert vocabulary.names == ('dog', 'cat', 'sky', 'car')
    assert vocabulary.is_seen == (False, True, True, True)
    assert vocabulary.is_thing == (True, True, False, True)
    # what checkpoints and metrics know is the whole vocabulary as before
    plain = pets.dataset(pipeline=LOAD)
    assert dataset.metainfo == plain.metainfo
    assert plain[0]['vocabulary'].names == ('cat', 'sky', 'car')


def test_true_labels_of_found_classes_stay_hidden(pets, found):
    """Where nothing was found the real dog is ignored, not learned."""
    found.maps[1][:] = 0
    found.content['annotations'][0]['segments_info'] = []
    sample = pets.dataset(pipeline=LOAD, pseudo_labels=found.write())[0]
    names = sample['vocabulary'].names
    assert 'dog' in names
    labels = {names[segment['label']] for segment in sample['segments']}
    assert labels == {'sky', 'cat'}
    is_dog = np.array(pets.ids(1)) == DOG
    assert (sample['gt_seg_map'][is_dog] == 0).all()


def test_image_of_unseen_classes_alone_is_trained_on_once_labelled(
    pets, found
):
    assert [x['img_id'] for x in pets.dataset()] == [1, 4]
    dataset = pets.dataset(pipeline=LOAD, pseudo_labels=found.write())
    assert [x['img_id'] for x in dataset] == [1, 2, 4]
    only = dataset[1]
    assert np.unique(only['gt_seg_map']).tolist() == [0, FIRST_SEGMENT_ID]


def test_image_never_predicted_is_told(pets, found, logged):
    del found.content['annotations'][1:]
    pets.dataset(pseudo_labels=found.write(), serialize_data=False)[0]
    (message,) = [text for _, text in logged if 'pseudo labels' in text]
    assert '3 of 4 images have no pseudo labels' in message


def test_loading_twice_gives_the_same(pets, found):
    dataset = pets.dataset(
        pipeline=LOAD, pseudo_labels=found.write(), serialize_data=False
    )
    first, second = dataset[0], dataset[0]
    np.testing.assert_array_equal(first['gt_seg_map'], second['gt_seg_map'])
    assert first['segments'] == second['segments']


@pytest.mark.parametrize('options', [{'split': 'all'}, {'test_mode': True}])
def test_needs_hidden_labels_and_training(pets, found, options):
    with pytest.raises(ValueError, match="they need split='seen' and no"):
        pets.dataset(pseudo_labels=found.write(), **options)


def test_missing_folder_names_the_tool(pets, tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        pets.dataset(pseudo_labels=str(tmp_path / 'gone'))
    assert 'pseudo-labels make CONFIG CHECKPOINT --out' in str(caught.value)
    assert 'gone' in str(caught.value)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (
            '{',
            'is not JSON .* make it anew with freeseg-mm ps',
        ),
        ('[]', 'expected a JSON object, got list'),
        (
            '{"images": [], "annotations": [], "categories": []}',
            'not written by freeseg-mm pseudo-labels make',
        ),
    ],
)
def test_other_files_are_refused(pets, found, text, message):
    root = found.write()
    found.files.json.write_text(text)
    with pytest.raises(ValueError, match=message):
        pets.dataset(pseudo_labels=root)


@pytest.mark.parametrize('name', ['cat', 'unicorn'])
def test_classes_that_are_not_unseen_are_refused(pets, found, name):
    found.content['categories'].append({'id': 9, 'name': name})
    with pytest.raises(ValueError, match=f"categories .'{name}'. are no uns"):
        pets.dataset(pseudo_labels=found.write())


def test_no_segment_at_all_is_refused(pets, found):
    for annotation in found.content['annotations']:
        annotation['segments_info'] = []
    with pytest.raises(ValueError, match='no image has a pseudo segment'):
        pets.dataset(pseudo_labels=found.write())


def test_images_of_another_dataset_are_refused(pets, found):
    found.content['annotations'][0]['image_id'] = 77
    dataset = pets.dataset(pseudo_labels=found.write(), lazy_init=True)
    with pytest.raises(ValueError, match='as image id 77; the pseudo labels'):
        dataset.full_init()


def pasted(tmp_path, ids, listed=(1,)):
    path = tmp_path / 'pasted.png'
    encode_panoptic_png(np.array(ids), path)
    segments = [{'id': id_, 'label': 0, 'iscrowd': 0} for id_ in listed]
    gt = np.array([[FIRST_SEGMENT_ID, 0]], np.int32)
    known = [{'id': FIRST_SEGMENT_ID, 'label': 1, 'iscrowd': 0}]
    return paste_pseudo_segments(gt, known, str(path), segments)


def test_paste_numbers_on_from_the_gt(tmp_path):
    ids, segments = pasted(tmp_path, [[0, 1]])
    assert ids.tolist() == [[FIRST_SEGMENT_ID, FIRST_SEGMENT_ID + 1]]
    assert [s['label'] for s in segments] == [1, 0]


def test_paste_covers_background(tmp_path):
    path = tmp_path / 'pasted.png'
    encode_panoptic_png(np.array([[0, 1]]), path)
    gt = np.full((1, 2), BACKGROUND_SEGMENT_ID, np.int32)
    pseudo = [{'id': 1, 'label': 0, 'iscrowd': 0}]

    ids, _ = paste_pseudo_segments(gt, [], str(path), pseudo)

    assert ids.tolist() == [[BACKGROUND_SEGMENT_ID, FIRST_SEGMENT_ID]]


@pytest.mark.parametrize(
    ('ids', 'message'),
    [
        (
            [[0], [1]],
            r'pseudo labels are \(2, 1\) .* the ground truth \(1, 2\)',
        ),
        ([[0, 5]], r'segment ids \[5\] are not listed'),
        ([[1, 1]], '1 pixels have a pseudo label and a true one'),
    ],
)
def test_labels_of_another_version_of_the_data_are_refused(
    tmp_path, ids, message
):
    with pytest.raises(ValueError, match=message) as caught:
        pasted(tmp_path, ids)
    assert 'anew with freeseg-mm pseudo-labels make' in str(caught.value)
