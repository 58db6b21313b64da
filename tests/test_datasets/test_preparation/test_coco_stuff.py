"""COCO-Stuff's maps without COCO's annotations."""

import json

import numpy as np
import pytest
from PIL import Image

from freeseg_mm.cli import main
from freeseg_mm.datasets.preparation.coco import has_maps_alone, prepare_coco

# category id - 1: person 0, sky-other 156; 11 was never used
LABELS = np.array([[0, 0, 156], [0, 255, 156]], np.uint8)
SKY = 145  # 80 things, then stuff from id 92 on: 80 + 157 - 92


@pytest.fixture
def source(tmp_path):
    """A download of one training and two validation images."""
    root = tmp_path / 'source'
    for split, ids in {'train2017': [9], 'val2017': [139, 285]}.items():
        (root / split).mkdir(parents=True)
        (root / 'stuffthingmaps' / split).mkdir(parents=True)
        for id_ in ids:
            name = f'{id_:012d}'
            Image.new('RGB', (3, 2)).save(root / split / f'{name}.jpg')
            Image.fromarray(LABELS).save(
                root / 'stuffthingmaps' / split / f'{name}.png'
            )
    return root


def prepare(source, target, **options):
    return prepare_coco(
        source, target, **{'subset': True, 'say': lambda _: None, **options}
    )


def test_maps_become_semantic_gt(source, tmp_path):
    target = tmp_path / 'target'

    parts = prepare(source, target)

    assert [part.num_written for part in parts] == [1, 2]
    assert 'serves for: semantic' in '\n'.join(parts[0].summary)
    classes = Image.open(
        target / 'annotations/semantic_val2017/000000000139.png'
    )
    assert np.asarray(classes).tolist() == [[0, 0, SKY], [0, 255, SKY]]
    listing = json.loads(
        (target / 'annotations/panoptic_val2017.json').read_text()
    )
    assert [image['id'] for image in listing['images']] == [139, 285]
    names = {entry['id']: entry for entry in listing['categories']}
    person, sky = listing['annotations'][0]['segments_info']
    assert names[person['category_id']]['name'] == 'person'
    assert (person['area'], person['iscrowd'], person['exact']) == (3, 1, 1)
    assert names[sky['category_id']]['name'] == 'sky-other'
    assert (sky['area'], sky['iscrowd']) == (2, 0)
    assert [part.num_written for part in prepare(source, target)] == [0, 0]


def test_only_where_there_are_no_annotations(source, tmp_path, capsys):
    arguments = [
        'prepare',
        'coco',
        str(source),
        str(tmp_path / 'target'),
        '--subset',
    ]

    assert has_maps_alone(source)
    assert main([*arguments, '--workers', '1']) == 0
    assert 'no objects are known' in capsys.readouterr().out

    (source / 'annotations').mkdir()
    assert not has_maps_alone(source)
    assert main(arguments) == 1
    assert 'panoptic_train2017.json' in capsys.readouterr().err


def test_unknown_label_names_the_file(source, tmp_path):
    path = source / 'stuffthingmaps/val2017/000000000285.png'
    Image.fromarray(np.full((2, 3), 11, np.uint8)).save(path)

    with pytest.raises(ValueError, match=r'285\.png: labels \[11\] are unkn'):
        prepare(source, tmp_path / 'target')


def test_map_without_an_image(source, tmp_path):
    (source / 'val2017/000000000285.jpg').unlink()

    with pytest.raises(FileNotFoundError, match=r'000000000285\.jpg'):
        prepare(source, tmp_path / 'target')


def test_missing_folder(source, tmp_path):
    (source / 'stuffthingmaps/val2017').rename(source / 'elsewhere')

    with pytest.raises(FileNotFoundError, match='stuffthingmaps/val2017'):
        prepare(source, tmp_path / 'target')


def test_maps_are_named_by_ids(source, tmp_path):
    folder = source / 'stuffthingmaps/val2017'
    (folder / '000000000285.png').rename(folder / 'mine.png')

    with pytest.raises(ValueError, match=r"holds \['mine\.png'\]"):
        prepare(source, tmp_path / 'target')


def test_part_of_the_official_images(source, tmp_path):
    with pytest.raises(ValueError, match=r'1 images, officially 118,287'):
        prepare(source, tmp_path / 'target', subset=False)


def test_real_maps(samples_dir, tmp_path):
    parts = prepare(samples_dir / 'coco_stuffthingmaps', tmp_path)

    assert 'classes that occur: 57 of 171' in '\n'.join(parts[0].summary)
    assert 'classes that occur: 128 of 171' in '\n'.join(parts[1].summary)
