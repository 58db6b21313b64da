import json

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from freeseg_mm.datasets.checking import check_config, summarize
from freeseg_mm.registry import TRANSFORMS
from freeseg_mm.utils.panoptic_png import BACKGROUND_ID, encode_panoptic_png

META_KEYS = ('img_id', 'ori_shape', 'vocabulary', 'segments')
PIPELINE = [
    {'type': 'LoadImageFromFile'},
    {'type': 'freeseg_mm.LoadPanopticSegments'},
    {'type': 'RandomFlip', 'prob': 0.5},
    {'type': 'PackDetInputs', 'meta_keys': META_KEYS},
]
# ids as in conftest
SKY, CAT, DOG, CROWD = 100, 3 * 65536 + 7, 300, 256


def config_of(pets, **changes):
    """Train and val on the same pets; val has semantic PNGs if written."""
    dataset = {
        'type': 'freeseg_mm.OpenVocabPanopticDataset',
        'data_root': str(pets.root),
        'ann_file': 'annotations/panoptic_train.json',
        'data_prefix': {'img': 'train/', 'seg': 'annotations/panoptic_train/'},
        'vocabulary': 'vocabulary.json',
        'split': 'seen',
        'pipeline': PIPELINE,
    } | changes
    config = {'train_dataloader': {'dataset': dataset}}
    return Config(config)


def check(pets, workers=1, **changes):
    (outcome,) = check_config(config_of(pets, **changes), workers=workers)
    return outcome


def findings(outcome):
    """(file name, reason) of each."""
    return [
        (finding.file.rpartition('/')[2], finding.reason)
        for finding in outcome.findings
    ]


def damage(path, byte=None):
    content = bytearray(path.read_bytes())
    if byte is None:
        content = content[: len(content) // 2]
    else:
        content[byte] ^= 255
    path.write_bytes(content)


def test_whole_dataset_has_no_findings_and_is_counted(pets):
    outcome = check(pets)
    assert outcome.findings == []
    assert (outcome.num_images, outcome.num_unused) == (4, 2)
    assert outcome.segments == {'sky': 2, 'cat': 1, 'dog': 2, 'grass': 2}
    assert outcome.crowds == {'cat': 2}
    assert summarize(outcome) == [
        f'train ({pets.json}): nothing is broken',
        '  4 images read, 2 of them without a label that training may use',
        '  3 objects of things, 4 segments of stuff, 2 crowds',
        '  classes that occur: 2 of 3 seen, 2 of 2 unseen',
        '  never: car',
    ]


def test_class_of_crowds_alone_does_occur(pets):
    for annotation in pets.content['annotations']:
        for info in annotation['segments_info']:
            info |= {'iscrowd': 1, 'exact': 1}
    del pets.content['annotations'][0]['segments_info'][2]['exact']
    pets.write_json()
    outcome = check(pets)
    # sky: exact crowds teach semantic segmentation
    assert outcome.num_unused == 1
    assert summarize(outcome)[2:] == [
        '  0 objects of things, 0 segments of stuff, 9 crowds',
        '  classes that occur: 2 of 3 seen, 2 of 2 unseen',
        '  as crowds alone: dog; cat; grass; sky',
        '  never: car',
    ]
    assert check(pets, tasks=['panoptic']).num_unused == 4


@pytest.mark.parametrize('workers', [1, 2])
def test_all_broken_files_are_listed(pets, workers):
    pets.image(1).unlink()
    damage(pets.image(2))
    damage(pets.png(2), 60)
    pets.png(3).unlink()
    encode_panoptic_png(np.full((3, 3), 7), pets.png(4))
    outcome = check(pets, workers)
    found = findings(outcome)
    assert [file for file, _ in found] == [
        '1.jpg',
        '2.jpg',
        '2.png',
        '3.png',
        '4.png',
    ]
    for (_, reason), part in zip(
        found,
        [
            'missing file',
            'cannot decode image',
            'cannot decode panoptic PNG',
            'no panoptic PNG',
            'is (3, 3) but its annotation says (4, 6)',
        ],
        strict=True,
    ):
        assert part in reason
    lines = summarize(outcome)
    assert sum(line.startswith('broken ') for line in lines) == 5
    assert f'train ({pets.json}): 5 broken' in lines


def test_background_is_listed_nowhere(pets):
    ids = pets.ids(1)
    ids[ids == 0] = BACKGROUND_ID
    encode_panoptic_png(ids, pets.png(1))
    assert findings(check(pets)) == []


def test_what_png_and_json_say_is_compared(pets):
    infos = pets.content['annotations'][0]['segments_info']
    # sky, dog, cat, crowd of cats
    infos[0]['area'] = 8  # row 0 has 5, row 1 has 2
    infos[1] |= {'area': 6, 'bbox': [3, 1, 3, 3]}
    infos[2] |= {'area': 6, 'bbox': [1, 1, 2, 2]}
    infos[3] |= {'id': 999}
    pets.write_json()
    assert findings(check(pets)) == [
        ('1.png', f'ids [{CROWD}] are in the PNG but not in the JSON'),
        ('1.png', 'segments [999] of the JSON have no pixel in the PNG'),
        ('1.png', f'segment {SKY} has 7 pixels, the JSON says 8'),
        (
            '1.png',
            f'segment {CAT} has the box [1, 1, 2, 3] (x, y, width, height), '
            'the JSON says [1, 1, 2, 2]',
        ),
    ]


def test_image_of_another_size_than_the_json_says(pets):
    pets.content['images'][3]['height'] = 5
    pets.write_json()
    found = findings(check(pets))
    assert [file for file, _ in found] == ['4.jpg', '4.png']
    assert all('(4, 6) but its annotation says (5, 6)' in r for _, r in found)


@pytest.mark.parametrize('orientation', range(2, 9))
def test_exif_orientation_is_noticed(pets, orientation):
    """The pipeline turns the image, its ground truth stays.

    No sizes tell it of 2, 3 and 4.
    """
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.open(pets.image(1)).save(pets.image(1), exif=exif)
    ((file, reason),) = findings(
        check(pets, pipeline=[PIPELINE[0], PIPELINE[-1]])
    )
    assert file == '1.jpg'
    assert f'has EXIF orientation {orientation}, so' in reason


def test_label_map_that_viewers_turn(pets):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(pets.png(1)).save(pets.png(1), exif=exif)
    ((file, reason),) = findings(check(pets))
    assert file == '1.png'
    assert 'has EXIF orientation 3; save it without one' in reason


def test_semantic_pngs_are_compared(pets):
    folder = pets.root / 'sem'
    folder.mkdir()
    for number in (1, 2, 3, 4):
        # 3 is sky, 2 grass as in image 4; 0 is dog, as in image 2
        classes = np.array([[3] * 6, [3] * 6, [2] * 6, [2] * 6], np.uint8)
        if number == 2:
            classes[:2] = 5
            classes[0, 0] = 255
        elif number == 3:
            classes = classes[:3]
        Image.fromarray(classes).save(folder / f'{number}.png')
    outcome = check(
        pets,
        split='all',
        data_prefix={
            'img': 'train/',
            'seg': 'annotations/panoptic_train/',
            'sem': 'sem/',
        },
    )
    found = findings(outcome)
    assert [file for file, _ in found] == ['2.png', '3.png']
    assert found[0][1] == (
        f'semantic PNG {folder}/2.png holds classes [5]; expected 0 to 4, '
        'the positions in the vocabulary, or 255 (ignored)'
    )
    assert 'is (3, 6) but' in found[1][1]
    # image 4 all of 24; of image 1, 7 sky, 6 cat and 6 dog pixels have a
    # class, of which the sky agrees
    assert (outcome.labelled, outcome.agreeing) == (24 + 19, 24 + 7)
    assert '72.09 % of the' in summarize(outcome)[-1]


@TRANSFORMS.register_module(force=True)
class SpoilIds:
    """A transform that treats ids as numbers."""

    def __call__(self, results):
        results['gt_seg_map'] = results['gt_seg_map'] * 2
        return results


@TRANSFORMS.register_module(force=True)
class Refuse:
    def __init__(self, error=False):
        self.error = error

    def __call__(self, results):
        if self.error:
            raise ZeroDivisionError('no luck')


@pytest.mark.parametrize(
    ('transform', 'reason'),
    [
        (
            {'type': 'freeseg_mm.SpoilIds'},
            'the pipeline makes segment ids [512, 514, 516] that are no',
        ),
        ({'type': 'freeseg_mm.Refuse'}, 'the pipeline refuses the sample'),
        (
            {'type': 'freeseg_mm.Refuse', 'error': True},
            'the pipeline fails: ZeroDivisionError: no luck',
        ),
    ],
)
def test_pipeline_is_run(pets, transform, reason):
    pipeline = [*PIPELINE[:2], transform, PIPELINE[-1]]
    outcome = check(pets, pipeline=pipeline)
    assert findings(outcome)[0][0] == '1.jpg'
    assert findings(outcome)[0][1].startswith(reason)


def test_pipeline_that_does_not_pack_is_noticed(pets):
    found = findings(check(pets, pipeline=PIPELINE[:-1]))
    assert len(found) == 4
    assert 'no data_samples; does it end in PackDet' in found[0][1]


def test_random_transforms_do_not_depend_on_the_workers(pets):
    pipeline = [
        *PIPELINE[:2],
        {
            'type': 'RandomApply',
            'prob': 0.5,
            'transforms': [{'type': 'freeseg_mm.SpoilIds'}],
        },
        PIPELINE[-1],
    ]
    once, again = (
        findings(check(pets, workers, pipeline=pipeline)) for workers in (1, 2)
    )
    assert once == again
    assert 0 < len(once) < 4


def test_bad_entries_do_not_hide_broken_files(pets):
    pets.content['annotations'][0]['segments_info'][0]['category_id'] = 77
    pets.content['images'].append({'id': 9})
    pets.write_json()
    pets.png(4).unlink()
    found = findings(check(pets))
    assert found[0] == (
        'panoptic_train.json',
        "images[4] lacks the keys ['file_name', 'height', 'width']",
    )
    assert found[1] == (
        'panoptic_train.json',
        'annotation 1.png: category ids [77] are not in the file',
    )
    assert found[2][0] == '4.png'
    assert len(found) == 3


@pytest.mark.parametrize('content', ['{"images": [', '[]', '{}'])
def test_unusable_json_is_a_finding(pets, content):
    pets.json.write_text(content)
    ((file, reason),) = findings(check(pets))
    assert file == 'panoptic_train.json'
    assert 'panoptic_train.json' in reason


def test_missing_vocabulary_is_a_finding(pets):
    (pets.root / 'vocabulary.json').unlink()
    outcome = check(pets)
    assert "no vocabulary 'vocabulary.json'" in outcome.findings[0].reason
    assert summarize(outcome)[-1] == '  0 images read'


def test_wrapped_datasets_are_found_and_none_is_read_twice(pets):
    config = config_of(pets)
    dataset = config.train_dataloader.dataset
    other = {**dataset, 'split': 'all'}
    config.train_dataloader.dataset = {
        'type': 'ConcatDataset',
        'datasets': [{'type': 'RepeatDataset', 'dataset': dataset}, other],
    }
    config.test_dataloader = {'dataset': other}
    outcomes = check_config(config, workers=1)
    # what the test reads was read before
    assert [outcome.loader for outcome in outcomes] == ['train', 'train']
    config.val_dataloader = {'dataset': {**other, 'test_mode': True}}
    config.test_dataloader = config.val_dataloader
    outcomes = check_config(config, workers=1)
    assert [o.loader for o in outcomes] == ['train', 'train', 'val']
    assert [o.num_unused for o in outcomes] == [2, 1, 0]


def test_other_types_are_refused(pets):
    ((_, reason),) = findings(check(pets, type='CocoDataset'))
    assert 'expected a freeseg_mm.OpenVocabPanopticDataset' in reason


def test_missing_loader_is_named(pets):
    with pytest.raises(
        ValueError, match=r"no val_dataloader; it has \['train'\]"
    ):
        check_config(config_of(pets), ['val'], workers=1)


def test_instances_json_of_the_metric_is_compared(pets):
    config = config_of(pets)
    path = pets.root / 'instances.json'
    content = {
        'images': [
            {'id': i, 'height': 4 + (i == 4), 'width': 6} for i in (1, 2, 4)
        ],
        'categories': [{'id': 1, 'name': 'cat'}, {'id': 2, 'name': 'sky'}],
        'annotations': [
            {
                'id': number,
                'image_id': 1 + (number == 3) * 8,
                'category_id': 1 + (number == 5) * 8,
                'segmentation': outline,
            }
            for number, outline in enumerate(
                [
                    [[0, 0, 3, 0, 3, 3, 0, 3]],
                    [],
                    {'size': [9, 9], 'counts': [0, 81]},
                    [[0, 0, 3, 0, 3, 3, 0, 3]],
                    {'size': [4, 6], 'counts': [24]},
                    [[0, 0, 3, 0, 3, 3, 0, 3]],
                    [[1, 2]],
                ],
            )
        ],
    }
    path.write_text(json.dumps(content))
    config.train_evaluator = {'type': 'x', 'ann_file': str(path)}
    (outcome,) = check_config(config, workers=1)
    reasons = [reason for _, reason in findings(outcome)]
    assert {file for file, _ in findings(outcome)} == {'instances.json'}
    assert reasons[:4] == [
        "categories ['sky'] are no things of vocabulary 'pets'",
        'annotation ids [0] (1 in all) are 0 or occur more than once',
        'annotation 3: image id 9 is not in the file',
        'annotation 5: category id 9 is not in the file',
    ]
    assert reasons[4:7] == [
        'annotation 1: has no segmentation',
        'annotation 2: its mask has size (9, 9) (H, W), the image (4, 6)',
        'annotation 4: its mask has no pixel',
    ]
    assert reasons[7] == 'annotation 6: its mask has no pixel'
    assert reasons[8:] == [
        'image 3 of the panoptic JSON is not in the file',
        'image 4 has size (5, 6) (H, W) here, (4, 6) in the panoptic JSON',
    ]


@pytest.mark.parametrize('content', ['[]', '{"images": []}', None])
def test_unusable_instances_json_is_a_finding(pets, content):
    config = config_of(pets)
    path = pets.root / 'instances.json'
    if content:
        path.write_text(content)
    config.train_evaluator = [{'type': 'x', 'ann_file': str(path)}]
    (outcome,) = check_config(config, workers=1)
    ((file, reason),) = findings(outcome)
    assert file == 'instances.json'
    assert 'instances.json' in reason
    assert outcome.num_images == 4


@pytest.mark.parametrize(
    ('key', 'value', 'where'),
    [
        ('bbox', 5, '1.png'),
        ('bbox', None, '1.png'),
        ('bbox', 'text', '1.png'),
        ('area', 'x', 'panoptic_train.json'),
    ],
)
def test_bad_value_of_one_segment_does_not_end_the_check(
    pets, key, value, where
):
    pets.content['annotations'][0]['segments_info'][0][key] = value
    pets.write_json()
    ((file, reason),) = findings(check(pets))
    assert file == where
    assert repr(value) in reason
