import hashlib
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from freeseg_mm.shapes import (
    WorldOptions,
    generate_shapes,
    shapes_vocabulary,
)
from freeseg_mm.shapes.classes import STUFF, split_thing_name
from freeseg_mm.shapes.world import MANIFEST, SPLITS, plan_split
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.panoptic_png import decode_panoptic_png


def tree_digests(root):
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


def panoptic(root, split='train'):
    path = root / 'annotations' / f'panoptic_{split}.json'
    return json.loads(path.read_text('utf-8'))


def id_maps(root, split='train'):
    folder = root / 'annotations' / f'panoptic_{split}'
    for annotation in panoptic(root, split)['annotations']:
        yield annotation, decode_panoptic_png(folder / annotation['file_name'])


def test_same_options_same_bytes_with_any_number_of_workers(
    tiny_world, tiny_options, tmp_path
):
    assert generate_shapes(tmp_path / 'again', tiny_options, workers=2)
    assert tree_digests(tmp_path / 'again') == tree_digests(tiny_world)


def test_other_seed_draws_other_images(tiny_world, tiny_options, tmp_path):
    generate_shapes(tmp_path, replace(tiny_options, seed=4), workers=1)
    ours, others = tree_digests(tiny_world), tree_digests(tmp_path)
    assert ours.keys() == others.keys()
    same = [name for name in ours if ours[name] == others[name]]
    assert same == ['vocabulary.json']


def test_number_of_files(tiny_world, tiny_options):
    for split in SPLITS:
        count = getattr(tiny_options, split)
        folders = (
            tiny_world / split,
            tiny_world / 'annotations' / f'panoptic_{split}',
            tiny_world / 'annotations' / f'semantic_{split}',
        )
        for folder in folders:
            assert len(list(folder.iterdir())) == count
        assert len(panoptic(tiny_world, split)['images']) == count


def test_vocabulary_is_that_of_the_code(tiny_world):
    written = Vocabulary.load(tiny_world / 'vocabulary.json')
    assert written == shapes_vocabulary()


def test_images_are_as_large_as_said(tiny_world):
    for image in panoptic(tiny_world)['images']:
        with Image.open(tiny_world / 'train' / image['file_name']) as picture:
            assert picture.mode == 'RGB'
            assert picture.size == (image['width'], image['height'])
            assert picture.size == (64, 64)


def test_id_png_holds_the_segments_of_the_json(tiny_world):
    for annotation, ids in id_maps(tiny_world):
        segments = annotation['segments_info']
        assert sorted(np.unique(ids)) == sorted(s['id'] for s in segments)
        for segment in segments:
            mask = ids == segment['id']
            rows, columns = np.nonzero(mask)
            assert segment['area'] == mask.sum()
            assert segment['bbox'] == [
                columns.min(),
                rows.min(),
                np.ptp(columns) + 1,
                np.ptp(rows) + 1,
            ]
            assert segment['iscrowd'] == 0


def test_ids_use_all_three_channels(tiny_world):
    path = tiny_world / 'annotations' / 'panoptic_train' / '000001.png'
    rgb = np.asarray(Image.open(path))
    assert (rgb.reshape(-1, 3).max(0) > 0).all()


def test_semantic_png_agrees_with_the_segments(tiny_world):
    content = panoptic(tiny_world)
    vocabulary = shapes_vocabulary()
    names = {c['id']: c['name'] for c in content['categories']}
    for annotation, ids in id_maps(tiny_world):
        path = tiny_world / 'annotations' / 'semantic_train'
        labels = np.asarray(Image.open(path / annotation['file_name']))
        assert labels.dtype == np.uint8
        for segment in annotation['segments_info']:
            expected = vocabulary.index(names[segment['category_id']])
            assert (labels[ids == segment['id']] == expected).all()


def test_instances_are_the_thing_segments(tiny_world):
    coco = COCO(tiny_world / 'annotations' / 'instances_train.json')
    content = panoptic(tiny_world)
    is_thing = {c['id']: c['isthing'] for c in content['categories']}
    assert {c['id']: c['name'] for c in coco.dataset['categories']} == {
        c['id']: c['name'] for c in content['categories'] if c['isthing']
    }
    for annotation, ids in id_maps(tiny_world):
        things = [
            segment
            for segment in annotation['segments_info']
            if is_thing[segment['category_id']]
        ]
        instances = coco.imgToAnns[annotation['image_id']]
        assert len(things) == len(instances) >= 2
        for thing, instance in zip(things, instances, strict=True):
            np.testing.assert_array_equal(
                coco.annToMask(instance), ids == thing['id']
            )
            for key in ('category_id', 'area', 'bbox', 'iscrowd'):
                assert instance[key] == thing[key]


def test_every_class_occurs(tiny_world):
    shown = {
        segment['category_id']
        for annotation in panoptic(tiny_world, 'clip')['annotations']
        for segment in annotation['segments_info']
    }
    assert shown == set(range(1, 46))


def test_complete_data_is_left_alone(tiny_world, tiny_options):
    before = {p: p.stat().st_mtime_ns for p in tiny_world.rglob('*')}
    assert not generate_shapes(tiny_world, tiny_options)
    assert not generate_shapes(tiny_world, tiny_options, overwrite=True)
    after = {p: p.stat().st_mtime_ns for p in tiny_world.rglob('*')}
    assert before == after


def test_other_options_are_refused_unless_told_to_overwrite(tmp_path):
    options = WorldOptions(train=2, val=1, clip=1, tune=1, size=64)
    generate_shapes(tmp_path, options, workers=1)
    fewer = replace(options, train=1)
    with pytest.raises(FileExistsError, match='give --overwrite to replace'):
        generate_shapes(tmp_path, fewer, workers=1)
    assert generate_shapes(tmp_path, fewer, workers=1, overwrite=True)
    assert len(list((tmp_path / 'train').iterdir())) == 1


def test_unfinished_data_is_recognised(tmp_path):
    options = WorldOptions(train=1, val=1, clip=1, tune=1, size=64)
    generate_shapes(tmp_path, options, workers=1)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(
        json.dumps({**manifest, 'complete': False})
    )
    with pytest.raises(FileExistsError, match='holds unfinished shapes data'):
        generate_shapes(tmp_path, options, workers=1)
    assert generate_shapes(tmp_path, options, workers=1, overwrite=True)
    assert not generate_shapes(tmp_path, options, workers=1)


@pytest.mark.parametrize('overwrite', [False, True])
def test_folders_of_others_are_never_touched(tmp_path, overwrite):
    (tmp_path / 'train').mkdir()
    options = WorldOptions(train=1, val=1, clip=1, tune=1, size=64)
    with pytest.raises(FileExistsError, match='is not empty and has no'):
        generate_shapes(tmp_path, options, overwrite=overwrite)
    (tmp_path / MANIFEST).write_text('{"generator": "another"}')
    with pytest.raises(FileExistsError, match='is not that of generated'):
        generate_shapes(tmp_path, options, overwrite=overwrite)
    assert (tmp_path / 'train').is_dir()


def test_out_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    options = WorldOptions(train=1, val=1, clip=1, tune=1, size=64)
    with pytest.raises(OSError, match=r'cannot write to .*file.*: .*choose'):
        generate_shapes(tmp_path / 'file' / 'out', options, workers=1)
    with pytest.raises(OSError, match='cannot write to'):
        generate_shapes(tmp_path / 'file', options, workers=1)


@pytest.mark.parametrize(
    ('field', 'value', 'least'),
    [
        ('train', 0, 1),
        ('val', 0, 1),
        ('clip', -1, 1),
        ('size', 63, 64),
        ('seed', -1, 0),
    ],
)
def test_options_out_of_range_are_named(field, value, least):
    with pytest.raises(
        ValueError, match=f'{field} is {value}, expected at least {least}'
    ):
        WorldOptions(**{field: value})


def test_no_worker_is_refused(tmp_path):
    with pytest.raises(ValueError, match='workers is 0, expected at least 1'):
        generate_shapes(tmp_path / 'out', WorldOptions(), workers=0)
    assert not (tmp_path / 'out').exists()


def test_command_writes_once_and_explains_errors(run, tmp_path):
    options = [
        *('--train', 1, '--val', 1, '--clip', 1, '--tune', 1),
        *('--size', 64, '--workers', 1),
    ]
    status, out, told = run('make', tmp_path, *options)
    assert (status, out) == (0, f'shapes data is in {tmp_path}\n')
    assert 'drawing train: 100%' in told
    _, out, _ = run('make', tmp_path, *options)
    assert out.startswith('nothing to do: ')
    status, _, told = run('make', tmp_path, *options, '--size', 8)
    assert status == 1
    assert told == (
        'freeseg-mm shapes make: size is 8, expected at least 64\n'
    )


@pytest.mark.parametrize('split', SPLITS)
def test_classes_occur_equally_often(split):
    plans = plan_split(split, 200, seed=0)
    scenes_with = Counter(
        name for plan in plans for name in {*plan.stuff, *plan.things}
    )
    things = [scenes_with[n] for n in shapes_vocabulary().names[:36]]
    # 200 scenes deal about 600 things from decks of 36: 17 each.
    assert min(things) >= 16
    assert max(things) - min(things) <= 1
    assert min(scenes_with[name] for name in STUFF) >= 50


def test_scene_shows_different_stuff_and_few_things():
    for plan in plan_split('train', 300, seed=1):
        assert len(plan.stuff) == len(set(plan.stuff))
        assert 2 <= len(plan.stuff) <= 3
        assert 2 <= len(plan.things) <= 5


def test_things_of_a_scene_differ_in_colour_but_for_twins():
    for plan in plan_split('train', 300, seed=1):
        different = set(plan.things)
        colours = {split_thing_name(name)[0] for name in different}
        assert len(colours) == len(different)


def test_some_scenes_show_twins():
    plans = plan_split('train', 300, seed=1)
    share = sum(len(set(p.things)) < len(p.things) for p in plans) / 300
    # Drawn with probability 0.3: three standard deviations are 0.08.
    assert share == pytest.approx(0.3, abs=0.08)


def test_unseen_things_are_shown_in_training_too():
    shown = {n for p in plan_split('train', 20, seed=0) for n in p.things}
    assert 'red triangle' in shown


def test_splits_and_seeds_differ_and_longer_splits_go_on():
    plans = plan_split('train', 30, seed=0)
    assert plans == plan_split('train', 50, seed=0)[:30]
    assert plans != plan_split('train', 30, seed=1)
    others = plan_split('val', 30, seed=0)
    assert [p.things for p in plans] != [p.things for p in others]
    seeds = {p.seed for p in plans} | {p.seed for p in others}
    assert len(seeds) == 60
