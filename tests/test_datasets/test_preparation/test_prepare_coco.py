"""The command line of freeseg-mm prepare coco."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from freeseg_mm.cli import main
from freeseg_mm.utils.panoptic_png import encode_panoptic_png

STEM = '000000000001'
IMAGE = f'val2017/{STEM}.jpg'
LABELS = f'stuffthingmaps/val2017/{STEM}.png'
PANOPTIC = f'annotations/panoptic_val2017/{STEM}.png'
PANOPTIC_JSON = 'annotations/panoptic_val2017.json'


@pytest.fixture
def run(coco_tree, tmp_path, capsys):
    """Run the command on the small download: exit code, output, errors."""

    def _run(*options):
        code = main(
            [
                *('prepare', 'coco', str(coco_tree.root)),
                *(str(tmp_path / 'prepared'), *options),
            ]
        )
        captured = capsys.readouterr()
        # the bar is rewritten in place
        errors = [
            line
            for line in captured.err.replace('\r', '\n').splitlines()
            if line.startswith('freeseg-mm prepare coco: ')
        ]
        return code, captured.out, errors

    return _run


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def resize(path):
    with Image.open(path) as image:
        image.resize((5, 6)).save(path)


def unlisted_id(path):
    encode_panoptic_png(np.full((6, 6), 8), path)


def unknown_label(path):
    Image.new('L', (6, 6), 11).save(path)


def colours(path):
    Image.new('RGB', (6, 6)).save(path)


def unknown_category(path):
    content = json.loads(path.read_text())
    content['annotations'][1]['segments_info'][0]['category_id'] = 94
    path.write_text(json.dumps(content))


def repeated_id(path):
    content = json.loads(path.read_text())
    content['annotations'][1]['segments_info'][0]['id'] = 5
    path.write_text(json.dumps(content))


def remove(path):
    path.unlink()


def test_prepares_and_sums_up(run):
    code, out, errors = run('--subset', '--workers', '2')
    assert code == 0
    assert errors == []
    assert 'train2017: 12 images, ' in out
    assert 'of the pixels that COCO-Stuff labels are covered' in out
    # 8 pixels in each of 12 images
    person = re.search(r'person +(\d+) panoptic +(\d+) COCO-Stuff', out)
    assert person.groups() == ('96', '0')
    assert 'nothing to do' not in out


def test_second_run_says_there_is_nothing_to_do(run):
    run('--subset')
    code, out, _ = run('--subset')
    assert code == 0
    assert out.count('nothing to do: all annotations were there already') == 2


def test_unlisted_images_are_mentioned(run, coco_tree):
    (coco_tree.root / 'val2017' / 'holiday.jpg').touch()
    _, out, _ = run('--subset', '--splits', 'val2017')
    assert '1 image files are not in the JSON: unused' in out
    assert 'train2017' not in out


def test_says_what_to_pass_for_a_part(run):
    code, _, errors = run()
    assert code == 1
    assert len(errors) == 1
    assert 'train2017 has 118,287' in errors[0]
    assert 'pass --subset' in errors[0]


@pytest.mark.parametrize('workers', ['1', '2'])
@pytest.mark.parametrize(
    ('damage', 'name', 'message'),
    [
        (remove, IMAGE, 'missing file'),
        (remove, LABELS, 'missing file'),
        (remove, PANOPTIC, 'missing file'),
        (remove, PANOPTIC_JSON, 'is no whole COCO 2017 download, missing'),
        (cut, IMAGE, 'cannot decode image'),
        (cut, LABELS, 'cannot decode label map'),
        (cut, PANOPTIC, 'cannot decode panoptic PNG'),
        (cut, PANOPTIC_JSON, 'is not JSON'),
        (resize, IMAGE, 'size (H, W) is (6, 5) but its annotation says (6, 6'),
        (resize, LABELS, 'size (H, W) is (6, 5) but its annotation says'),
        (resize, PANOPTIC, 'size (H, W) is (6, 5) but its annotation says'),
        (colours, LABELS, 'expected image mode L or P, got RGB'),
        (unlisted_id, PANOPTIC, 'pixels have segment ids [8] that the JSON'),
        (unknown_label, LABELS, 'labels [11] are unknown'),
    ],
)
def test_damage_is_one_sentence_with_the_file(
    run, coco_tree, damage, name, message, workers
):
    path = coco_tree.root / name
    damage(path)
    code, _, errors = run('--subset', '--workers', workers)
    assert code == 1
    assert len(errors) == 1
    assert str(path) in errors[0]
    assert message in errors[0]
    assert 'Traceback' not in errors[0]


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (unknown_category, 'segment 7 has category id 94, which is none of'),
        (repeated_id, 'segment ids must be unique and not 0, got [5, 5, 300]'),
    ],
)
def test_bad_segment_is_named_with_its_image(run, coco_tree, damage, message):
    damage(coco_tree.root / PANOPTIC_JSON)
    code, _, errors = run('--subset')
    assert code == 1
    assert f'image {STEM}.jpg: ' in errors[0]
    assert str(coco_tree.root / PANOPTIC) in errors[0]
    assert message in errors[0]


def test_no_worker(run):
    code, _, errors = run('--subset', '--workers', '0')
    assert code == 1
    assert 'expected at least 1 worker, got 0' in errors[0]


def test_interruption_says_how_to_go_on(run, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(
        'freeseg_mm.datasets.preparation.coco.merge_coco_stuff', interrupt
    )
    code, _, errors = run('--subset', '--workers', '1')
    assert code == 130
    assert errors == [
        'freeseg-mm prepare coco: interrupted; run it again to go on'
    ]
