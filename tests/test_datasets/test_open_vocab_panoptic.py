import pickle

import numpy as np
import pytest
from PIL import Image

from freeseg_mm.registry import DATASETS
from freeseg_mm.structures import Task, Vocabulary

SKY, CAT, DOG, CROWD = 100, 3 * 65536 + 7, 300, 256


def segments_of(dataset):
    """Per image: (id, class name, iscrowd) of what its sample knows."""
    return {
        record['img_id']: [
            (
                segment['id'],
                record['vocabulary'].names[segment['label']],
                segment['iscrowd'],
            )
            for segment in record['segments']
        ]
        for record in map(dataset.get_data_info, range(len(dataset)))
    }


@pytest.mark.parametrize('serialize_data', [True, False])
def test_training_split_knows_seen_classes_only(pets, serialize_data):
    dataset = pets.dataset(serialize_data=serialize_data)
    assert segments_of(dataset) == {
        1: [(SKY, 'sky', 0), (CAT, 'cat', 0), (CROWD, 'cat', 1)],
        4: [(SKY, 'sky', 0)],
    }
    record = dataset.get_data_info(0)
    assert record['vocabulary'].names == ('cat', 'sky', 'car')
    assert [segment['label'] for segment in record['segments']] == [1, 0, 0]
    assert record['hidden_ids'] == [DOG]


def test_test_split_knows_all_classes(pets):
    dataset = pets.dataset(split='all', test_mode=True)
    assert segments_of(dataset) == {
        1: [
            (SKY, 'sky', 0),
            (DOG, 'dog', 0),
            (CAT, 'cat', 0),
            (CROWD, 'cat', 1),
        ],
        2: [(DOG, 'dog', 0), (7, 'grass', 0)],
        3: [(CROWD, 'cat', 1)],
        4: [(SKY, 'sky', 0), (7, 'grass', 0)],
    }
    record = dataset.get_data_info(0)
    assert [segment['label'] for segment in record['segments']] == [3, 0, 1, 1]
    assert record['vocabulary'] == dataset.vocabulary
    assert record['hidden_ids'] == []


def test_full_supervision_leaves_out_images_without_any_label(pets):
    # only image 3, which has a crowd and void
    assert set(segments_of(pets.dataset(split='all'))) == {1, 2, 4}


def test_images_left_out_are_counted_in_the_log(pets, logged):
    pets.dataset()
    assert logged == [
        (
            'INFO',
            f"{pets.json}: 2 of 4 images have no label of 'pets/seen' and "
            'are not trained on',
        )
    ]


def test_images_without_annotation_are_counted_in_the_log(pets, logged):
    del pets.content['annotations'][1]
    pets.write_json()
    dataset = pets.dataset(split='all', test_mode=True)
    assert set(segments_of(dataset)) == {1, 3, 4}
    assert logged == [
        (
            'WARNING',
            f'{pets.json}: 1 of 4 images have no annotation and are left out',
        )
    ]


def test_paths_of_a_record(pets):
    prefix = {
        'img': 'train/',
        'seg': 'annotations/panoptic_train/',
        'sem': 'annotations/semantic_train/',
    }
    record = pets.dataset(data_prefix=prefix).get_data_info(1)
    assert record['img_path'] == str(pets.image(4))
    assert record['seg_map_path'] == str(pets.png(4))
    assert record['sem_seg_path'] == str(
        pets.root / 'annotations/semantic_train/4.png'
    )
    assert (record['height'], record['width']) == (4, 6)
    assert 'sem_seg_path' not in pets.dataset().get_data_info(1)


@pytest.mark.parametrize('split', ['seen', 'all'])
def test_metainfo_is_plain_and_of_the_whole_vocabulary(pets, split):
    metainfo = pets.dataset(split=split).metainfo
    assert metainfo == {
        'classes': ('dog', 'cat', 'grass', 'sky', 'car'),
        'vocabulary': {
            'names': ['dog', 'cat', 'grass', 'sky', 'car'],
            'is_thing': [True, True, False, False, True],
            'is_seen': [False, True, False, True, True],
            'synonyms': [[], [], [], [], []],
            'name': 'pets',
        },
    }


def test_tasks_reach_the_sample(pets):
    default = pets.dataset().get_data_info(0)['tasks']
    assert default == (Task.SEMANTIC, Task.INSTANCE, Task.PANOPTIC)
    one = pets.dataset(tasks=['panoptic']).get_data_info(0)['tasks']
    assert one == (Task.PANOPTIC,)


@pytest.mark.parametrize(
    ('tasks', 'images'),
    [
        (['semantic'], {1, 2, 3, 4}),
        (['instance', 'panoptic'], {1, 2, 4}),
        (['semantic', 'instance'], {1, 2, 3, 4}),
    ],
)
def test_exact_crowd_is_something_to_learn_for_semantic(pets, tasks, images):
    pets.content['annotations'][2]['segments_info'][0]['exact'] = 1
    pets.write_json()
    dataset = pets.dataset(split='all', tasks=tasks)
    assert set(segments_of(dataset)) == images
    last = pets.dataset(split='all', test_mode=True).get_data_info(2)
    assert [segment['exact'] for segment in last['segments']] == [1]


def test_all_classes_may_be_unseen(pets):
    dataset = pets.dataset(split='all', seen='none', test_mode=True)
    record = dataset.get_data_info(0)
    # what the ensemble reads, and what the metrics read
    assert record['vocabulary'].is_seen == (False,) * 5
    assert dataset.metainfo['vocabulary']['is_seen'] == [False] * 5
    own = pets.dataset(split='all', test_mode=True)
    assert record['vocabulary'].names == own.vocabulary.names
    assert record['segments'] == own.get_data_info(0)['segments']


def test_vocabulary_may_be_built_in(pets):
    names = {'sky': 'sky-other', 'grass': 'grass'}
    for category in pets.content['categories']:
        category['name'] = names.get(category['name'], category['name'])
    pets.write_json()
    dataset = pets.dataset(vocabulary='coco_stuff171', split='all')
    assert dataset.vocabulary == Vocabulary.load('coco_stuff171')
    assert segments_of(dataset)[4] == [(SKY, 'sky-other', 0), (7, 'grass', 0)]


def test_vocabulary_in_data_root_goes_before_a_built_in_one(pets):
    own = pets.root / 'coco_stuff171'
    own.write_text((pets.root / 'vocabulary.json').read_text())
    dataset = pets.dataset(vocabulary='coco_stuff171')
    assert dataset.vocabulary.name == 'pets'


def test_vocabulary_may_be_elsewhere(pets, tmp_path):
    other = tmp_path / 'other.json'
    (pets.root / 'vocabulary.json').rename(other)
    assert pets.dataset(vocabulary=str(other)).vocabulary.name == 'pets'


def test_missing_vocabulary_is_named_with_both_places(pets):
    with pytest.raises(FileNotFoundError) as caught:
        pets.dataset(vocabulary='pest.json')
    message = str(caught.value)
    assert "no vocabulary 'pest.json': neither a file nor one of" in message
    assert f"nor in data_root '{pets.root}'; has the dataset" in message


def test_records_do_not_hold_the_vocabulary(pets):
    dataset = pets.dataset()
    stored = dataset.data_bytes.tobytes()
    for word in (b'sky', b'grass', b'Vocabulary', b'Task'):
        assert word not in stored
    # and what a worker gets is the one object, not a copy for each sample
    first, second = dataset.get_data_info(0), dataset.get_data_info(1)
    assert first['vocabulary'] is second['vocabulary']


def test_works_in_another_process(pets):
    dataset = pickle.loads(pickle.dumps(pets.dataset()))
    assert segments_of(dataset) == segments_of(pets.dataset())
    assert dataset.metainfo == pets.dataset().metainfo


def test_indices_keep_some_images(pets):
    dataset = pets.dataset(split='all', test_mode=True, indices=2)
    assert set(segments_of(dataset)) == {1, 2}


def test_lazy_init_reads_the_file_when_asked(pets):
    dataset = pets.dataset(lazy_init=True)
    # what a checkpoint and the metrics take from it
    assert dataset.metainfo['vocabulary']['name'] == 'pets'
    dataset.full_init()
    assert len(dataset) == 2


def test_builds_by_its_name_in_a_config(pets):
    dataset = DATASETS.build(
        {
            'type': 'freeseg_mm.OpenVocabPanopticDataset',
            'ann_file': str(pets.json),
            'vocabulary': str(pets.root / 'vocabulary.json'),
            'split': 'all',
        }
    )
    assert dataset.get_data_info(0)['img_path'] == '1.jpg'


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({'split': 'train'}, "split 'train' is none of ('seen', 'all')"),
        ({'seen': 'all'}, "seen 'all' is none of ('own', 'none')"),
        ({'seen': 'none'}, "'pets': all 5 classes are unseen, so training"),
        ({'tasks': ['panoptik']}, "unknown task ['panoptik']"),
        ({'tasks': []}, 'expected one to three different tasks'),
        (
            {'data_prefix': {'img_path': 'train/', 'seg': 'masks/'}},
            "data_prefix has unknown keys ['img_path']; known are "
            "('img', 'seg', 'sem')",
        ),
    ],
)
def test_refuses_settings(pets, changes, expected):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        pets.dataset(**changes)
    assert expected in str(caught.value)


def test_refuses_unknown_arguments(pets):
    with pytest.raises(TypeError, match='filter_cfg'):
        pets.dataset(filter_cfg={})


def test_missing_annotation_file_is_named(pets):
    with pytest.raises(FileNotFoundError) as caught:
        pets.dataset(ann_file='annotations/panoptic_val.json')
    path = pets.root / 'annotations/panoptic_val.json'
    assert f'no annotation file {path}; prepare the data' in str(caught.value)


def remove(*keys):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return change


def replace(value, *keys):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ('change', 'expected'),
    [
        (
            remove('categories'),
            "expected lists under the keys ['images', 'annotations', "
            "'categories'], none under ['categories']",
        ),
        (
            remove('images', 0, 'height'),
            "an entry lacks the key 'height'",
        ),
        (
            remove('annotations', 0, 'segments_info'),
            "an entry lacks the key 'segments_info'",
        ),
        (
            replace('wolf', 'categories', 2, 'name'),
            "categories ['wolf'] are not in vocabulary 'pets'; every "
            'category needs a class of the same name',
        ),
        (
            replace(99, 'annotations', 0, 'segments_info', 1, 'category_id'),
            '1.png has a segment of category id 99, which is not among its '
            "'categories'",
        ),
        (
            replace(99, 'annotations', 0, 'image_id'),
            'annotation 1.png is of image id 99, which is not among its '
            "'images'",
        ),
        (
            replace(SKY, 'annotations', 0, 'segments_info', 1, 'id'),
            f'1.png has segment ids [{SKY}, {SKY}, {CAT}, {CROWD}]; expected '
            'each once and none 0 (void)',
        ),
        (
            replace(0, 'annotations', 3, 'segments_info', 0, 'id'),
            '4.png has segment ids [0, 7]; expected each once and none 0',
        ),
        (
            replace([], 'annotations'),
            "none of 0 images has a label of 'pets/seen'",
        ),
    ],
)
def test_refuses_annotation_files(pets, change, expected):
    change(pets.content)
    pets.write_json()
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        pets.dataset()
    assert str(caught.value).startswith(f'{pets.json}: ')
    assert str(caught.value).count(str(pets.json)) == 1
    assert expected in str(caught.value)


@pytest.mark.parametrize('text', ['{"images": [', '', 'P6 binary', '\x00'])
def test_refuses_what_is_no_json(pets, text):
    pets.json.write_text(text)
    with pytest.raises(ValueError, match='is not JSON') as caught:
        pets.dataset()
    assert str(pets.json) in str(caught.value)


def test_refuses_json_of_another_kind(pets):
    pets.json.write_text('[1, 2]')
    with pytest.raises(ValueError, match='expected a JSON object, got list'):
        pets.dataset()


LOAD = [
    {'type': 'mmcv.LoadImageFromFile'},
    {'type': 'freeseg_mm.LoadPanopticSegments'},
]


def test_sample_goes_through_the_pipeline(pets):
    sample = pets.dataset(pipeline=LOAD)[0]
    np.testing.assert_array_equal(
        sample['img'][..., ::-1], np.array(Image.open(pets.image(1)))
    )
    assert sample['gt_seg_map'].shape == (4, 6)


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def write_text(path):
    path.write_text('this is no image')


def shrink(path):
    Image.open(path).resize((5, 4)).save(path)


@pytest.mark.parametrize('test_mode', [True, False])
@pytest.mark.parametrize(
    ('damage', 'error', 'expected'),
    [
        (lambda path: path.unlink(), FileNotFoundError, 'missing file {}'),
        (cut, ValueError, 'cannot decode image {}: image file is truncated'),
        (write_text, ValueError, 'cannot decode image {}: cannot identify'),
        (shrink, ValueError, '{}: size (H, W) is (4, 5) but its annotation'),
    ],
)
def test_unusable_image_is_named(pets, damage, error, expected, test_mode):
    damage(pets.image(1))
    dataset = pets.dataset(pipeline=LOAD, test_mode=test_mode)
    with pytest.raises(error) as caught:
        dataset[0]
    assert expected.format(pets.image(1)) in str(caught.value)


def test_image_that_only_its_decoder_refuses_is_named(pets):
    """Its header is whole, its size right and its end there."""
    content = pets.image(1).read_bytes()
    start = content.index(b'\xff\xdb')  # a table that pixels need
    length = int.from_bytes(content[start + 2 : start + 4], 'big')
    pets.image(1).write_bytes(content[:start] + content[start + 2 + length :])
    dataset = pets.dataset(pipeline=[{'type': 'LoadImageFromFile'}])
    with pytest.raises(ValueError, match=r'the pipeline refuses .*1\.jpg'):
        dataset.prepare_data(0)


def test_json_without_annotations_is_named(pets):
    pets.content['annotations'] = []
    pets.write_json()
    with pytest.raises(ValueError, match=r'train\.json: no image is annot'):
        pets.dataset(split='all', test_mode=True)
