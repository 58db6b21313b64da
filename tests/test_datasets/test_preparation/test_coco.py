import json
import multiprocessing
import os
import re
import time

import numpy as np
import pytest
from PIL import Image

from freeseg_mm.datasets.preparation import coco
from freeseg_mm.datasets.preparation.coco import (
    prepare_coco,
    semantic_labels,
)
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils import files
from freeseg_mm.utils.panoptic_png import decode_panoptic_png

SPLITS = ('train2017', 'val2017')


def prepare(source, target, **options):
    """Prepare a part of COCO without a word."""
    return prepare_coco(
        source, target, subset=True, say=lambda text: None, **options
    )


def read_tree(root):
    """Content of every file, and where every link leads."""
    return {
        path.relative_to(root).as_posix(): (
            str(path.resolve()) if path.is_symlink() else path.read_bytes()
        )
        for path in root.rglob('*')
        if path.is_symlink() or path.is_file()
    }


def read_report(target, split):
    path = target / 'annotations' / f'merge_report_{split}.json'
    return json.loads(path.read_text())


def without_train(tree):
    return {
        name: content for name, content in tree.items() if 'train' not in name
    }


def read_labels(path):
    return np.array(Image.open(path))


@pytest.fixture
def prepared(coco_tree, tmp_path):
    """The small download, prepared."""
    target = tmp_path / 'prepared'
    prepare(coco_tree.root, target)
    return target


@pytest.fixture(scope='module')
def samples(samples_dir, tmp_path_factory):
    """The 200 real images, prepared."""
    target = tmp_path_factory.mktemp('coco') / 'deep' / 'coco_stuff200'
    prepare(samples_dir / 'coco_stuff200', target, workers=1)
    return target


def real_images(samples_dir, samples, frame_stride=1):
    """Official and merged ground truth of the real images, or of every n-th.

    Yields segment ids and category id by segment, then the same merged,
    then the stuffthingmap and the semantic labels.
    """
    source = samples_dir / 'coco_stuff200'
    for split in SPLITS:
        name = f'annotations/panoptic_{split}'
        ours, theirs = (
            json.loads((root / f'{name}.json').read_text())['annotations']
            for root in (samples, source)
        )
        for merged, official in zip(
            ours[::frame_stride], theirs[::frame_stride], strict=True
        ):
            png = official['file_name']
            yield (
                decode_panoptic_png(source / name / png),
                official['segments_info'],
                decode_panoptic_png(samples / name / png),
                merged['segments_info'],
                read_labels(source / 'stuffthingmaps' / split / png),
                read_labels(
                    samples / 'annotations' / f'semantic_{split}' / png
                ),
            )


def category_map(ids, segments):
    """Category id of every pixel, 0 where void."""
    categories = np.zeros_like(ids)
    for segment in segments:
        categories[ids == segment['id']] = segment['category_id']
    return categories


class TestRealImages:
    def test_coverage(self, samples_dir, samples):
        labelled = covered = 0
        for _, _, ids, _, stuff_things, _ in real_images(samples_dir, samples):
            labelled += np.sum(stuff_things != 255)
            covered += np.sum((stuff_things != 255) & (ids != 0))
        assert covered / labelled >= 0.97
        reports = [
            read_report(samples, split)['coco_stuff'] for split in SPLITS
        ]
        assert sum(report['labelled'] for report in reports) == labelled
        assert sum(report['covered'] for report in reports) == covered

    def test_no_thing_pixel_changes(self, samples_dir, samples):
        """Class, object and crowd flag, both ways."""
        for theirs, their_segments, ours, our_segments, *_ in real_images(
            samples_dir, samples
        ):
            their_things, our_things = (
                {
                    segment['id']: (segment['category_id'], segment['iscrowd'])
                    for segment in segments
                    if segment['category_id'] <= 90
                }
                for segments in (their_segments, our_segments)
            )
            assert our_things == their_things
            things = np.isin(theirs, list(their_things))
            np.testing.assert_array_equal(
                np.isin(ours, list(our_things)), things
            )
            np.testing.assert_array_equal(ours[things], theirs[things])

    def test_kept_stuff_does_not_change(self, samples_dir, samples):
        for theirs, their_segments, ours, our_segments, *_ in real_images(
            samples_dir, samples, frame_stride=4
        ):
            their_map = category_map(theirs, their_segments)
            kept = (their_map > 90) & (their_map < 184)
            np.testing.assert_array_equal(
                category_map(ours, our_segments)[kept], their_map[kept]
            )

    def test_open_pixels_have_coco_stuffs_class(self, samples_dir, samples):
        for (
            theirs,
            their_segments,
            ours,
            our_segments,
            stuff_things,
            _,
        ) in real_images(samples_dir, samples, frame_stride=4):
            their_map = category_map(theirs, their_segments)
            opened = (their_map == 0) | (their_map >= 184)
            stuff = stuff_things.astype(int) + 1
            expected = np.where((stuff > 91) & (stuff < 183), stuff, 0)
            np.testing.assert_array_equal(
                category_map(ours, our_segments)[opened], expected[opened]
            )

    def test_panoptic_and_semantic_gt_agree(self, samples_dir, samples):
        """These panoptic samples were drawn from the same annotations."""
        names = Vocabulary.load('coco_stuff171').names
        content = json.loads(
            (samples / 'annotations/panoptic_val2017.json').read_text()
        )
        index = np.full(256, 255)
        for category in content['categories']:
            index[category['id']] = names.index(category['name'])
        equal = compared = 0
        for _, _, ids, segments, _, semantic in real_images(
            samples_dir, samples, frame_stride=4
        ):
            panoptic = index[category_map(ids, segments)]
            both = (panoptic != 255) & (semantic != 255)
            equal += np.sum(panoptic[both] == semantic[both])
            compared += both.sum()
        assert compared > 10_000_000
        assert equal / compared > 0.999

    def test_json_describes_its_pngs(self, samples_dir, samples):
        for _, _, ids, segments, *_ in real_images(
            samples_dir, samples, frame_stride=4
        ):
            assert sorted(segment['id'] for segment in segments) == [
                id_ for id_ in np.unique(ids) if id_
            ]
            stuff = [
                s['category_id'] for s in segments if s['category_id'] > 90
            ]
            assert len(set(stuff)) == len(stuff)
            for segment in segments:
                rows, columns = np.nonzero(ids == segment['id'])
                x, y, width, height = segment['bbox']
                assert segment['area'] == rows.size
                assert (x, x + width - 1) == (columns.min(), columns.max())
                assert (y, y + height - 1) == (rows.min(), rows.max())

    def test_categories(self, samples):
        content = json.loads(
            (samples / 'annotations/panoptic_train2017.json').read_text()
        )
        words = Vocabulary.load(samples / 'vocabulary.json')
        assert words == Vocabulary.load('coco_stuff171')
        assert [c['name'] for c in content['categories']] == list(words.names)
        assert [c['isthing'] for c in content['categories']] == [
            int(thing) for thing in words.is_thing
        ]
        assert [c['id'] for c in content['categories']][78:82] == [
            89,
            90,
            92,
            93,
        ]


class TestSmallTree:
    def test_files(self, coco_tree, prepared):
        tree = read_tree(prepared)
        stems = {'train2017': range(12), 'val2017': range(3)}
        assert set(tree) == {
            'vocabulary.json',
            'train2017',
            'val2017',
            *(
                f'annotations/{kind}_{split}.json'
                for kind in ('panoptic', 'instances', 'merge_report')
                for split in SPLITS
            ),
            *(
                f'annotations/{kind}_{split}/{index:012}.png'
                for kind in ('panoptic', 'semantic')
                for split in SPLITS
                for index in stems[split]
            ),
        }
        assert str((prepared / 'val2017').readlink()) == '../source/val2017'
        assert tree['annotations/instances_val2017.json'] == str(
            coco_tree.annotations / 'instances_val2017.json'
        )

    def test_images_and_licences_are_cocos(self, coco_tree, prepared):
        theirs = coco_tree.read_json('panoptic_val2017')
        ours = json.loads(
            (prepared / 'annotations' / 'panoptic_val2017.json').read_text()
        )
        assert ours['images'] == theirs['images']
        assert ours['licenses'] == theirs['licenses']
        assert [a['image_id'] for a in ours['annotations']] == [1, 2, 3]

    def test_thing_labels_of_open_pixels_are_not_covered(
        self, coco_tree, tmp_path
    ):
        labels = np.zeros((6, 6))  # person everywhere, but
        labels[0] = 168  # tree: 6 pixels, 4 of trees and 2 void
        labels[5] = 255  # unlabelled, on 5 pixels of road and 1 void
        for index in range(3):
            coco_tree.write_labels('val2017', f'{index:012}', labels)
        target = tmp_path / 'prepared'
        prepare(coco_tree.root, target, splits=['val2017'])
        report = read_report(target, 'val2017')
        # an image: 36 pixels, 30 labelled; person 8 and road 9 of them are
        # kept with 4 of the road labelled, 6 are refilled
        assert report['pixels'] == {
            'all': 3 * 36,
            'panoptic': 3 * 17,
            'coco_stuff': 3 * 6,
            'void': 3 * 13,
        }
        assert report['coco_stuff'] == {
            'labelled': 3 * 30,
            'covered': 3 * (8 + 4 + 6),
        }

    def test_copy(self, coco_tree, tmp_path):
        target = tmp_path / 'prepared'
        prepare(coco_tree.root, target, copy=True, workers=2)
        assert not any(path.is_symlink() for path in target.rglob('*'))
        tree = read_tree(target)
        for name in ('val2017/000000000001.jpg', 'train2017/000000000011.jpg'):
            assert tree[name] == (coco_tree.root / name).read_bytes()
        name = 'annotations/instances_train2017.json'
        assert tree[name] == (coco_tree.root / name).read_bytes()

    def test_one_split(self, coco_tree, tmp_path):
        target = tmp_path / 'prepared'
        parts = prepare(coco_tree.root, target, splits=['val2017'])
        assert len(parts) == 1
        assert read_report(target, 'val2017')['split'] == 'val2017'
        assert not (target / 'train2017').exists()

    def test_images_that_are_not_listed_are_counted(self, coco_tree, tmp_path):
        (coco_tree.root / 'val2017' / 'holiday.jpg').touch()
        parts = prepare(coco_tree.root, tmp_path / 'prepared')
        line = '  1 image files are not in the JSON: unused'
        assert [line in part.summary for part in parts] == [False, True]

    def test_says_what_comes(self, coco_tree, tmp_path):
        said = []
        prepare_coco(
            coco_tree.root, tmp_path / 'prepared', subset=True, say=said.append
        )
        assert said[:2] == [
            f'reading {coco_tree.annotations}/panoptic_train2017.json',
            f'reading {coco_tree.annotations}/panoptic_val2017.json',
        ]
        assert re.fullmatch(
            r'train2017: 12 of 12 images to merge, about 0\.\d+ GB to write',
            said[2],
        )

    def test_estimate_is_not_below_what_is_written(self, coco_tree, tmp_path):
        said = []
        target = tmp_path / 'prepared'
        prepare_coco(
            coco_tree.root, target, subset=True, copy=True, say=said.append
        )
        estimated = sum(
            float(re.search(r'about ([\d.]+) GB', line)[1]) * 1e9
            for line in said[2:]
        )
        written = sum(
            path.stat().st_size for path in target.rglob('*') if path.is_file()
        )
        assert written <= estimated + 1e6  # said in whole megabytes


class TestAgain:
    """Reproducible, idempotent, and able to go on."""

    def test_number_of_workers_does_not_matter(
        self, samples_dir, samples, tmp_path
    ):
        """One process made the samples."""
        prepare(
            samples_dir / 'coco_stuff200',
            tmp_path,
            splits=['val2017'],
            workers=4,
        )
        assert read_tree(tmp_path) == without_train(read_tree(samples))

    def test_second_run_writes_nothing(self, coco_tree, prepared):
        def times():
            return {
                path: path.lstat().st_mtime_ns
                for path in prepared.rglob('*')
                if not path.is_dir() or path.is_symlink()
            }

        before, content = times(), read_tree(prepared)
        parts = prepare(coco_tree.root, prepared)
        assert [part.num_written for part in parts] == [0, 0]
        assert parts[1].summary[0].startswith('val2017: 3 images, ')
        assert times() == before
        assert read_tree(prepared) == content

    @pytest.mark.parametrize(
        ('lost', 'num_written'),
        [
            (['panoptic_train2017/000000000003.png'], 1),
            (['semantic_train2017/000000000003.png'], 1),
            (
                [
                    'panoptic_train2017/000000000003.png',
                    'semantic_train2017/000000000003.png',
                    'semantic_train2017/000000000007.png',
                ],
                2,
            ),
            (['merge_report_train2017.json'], 0),
            (['panoptic_train2017.json'], 12),
            (['instances_train2017.json'], 0),
        ],
    )
    def test_lost_files_come_back(
        self, coco_tree, prepared, lost, num_written
    ):
        content = read_tree(prepared)
        for name in lost:
            (prepared / 'annotations' / name).unlink()
        parts = prepare(coco_tree.root, prepared)
        assert [part.num_written for part in parts] == [num_written, 0]
        assert read_tree(prepared) == content

    @pytest.mark.parametrize('workers', [1, 2])
    def test_run_that_failed_goes_on(
        self, coco_tree, prepared, tmp_path, workers
    ):
        path = coco_tree.root / 'stuffthingmaps/train2017/000000000008.png'
        whole = path.read_bytes()
        path.write_bytes(whole[:40])
        target = tmp_path / 'second'
        with pytest.raises(ValueError, match=re.escape(str(path))):
            prepare(coco_tree.root, target, workers=workers)
        assert not (target / 'annotations/panoptic_train2017.json').exists()
        path.write_bytes(whole)
        parts = prepare(coco_tree.root, target, workers=workers)
        # the eight images before the damaged one are done
        assert [part.num_written for part in parts] == [4, 3]
        assert read_tree(target) == read_tree(prepared)

    def test_killed_run_goes_on(self, samples_dir, samples, tmp_path):
        source = samples_dir / 'coco_stuff200'
        options = {'workers': 2, 'splits': ['val2017']}
        pngs = tmp_path / 'annotations' / 'panoptic_val2017'
        run = multiprocessing.Process(
            target=prepare, args=[source, tmp_path], kwargs=options
        )
        run.start()
        end = time.monotonic() + 60
        while not pngs.is_dir() or len(os.listdir(pngs)) < 20:
            assert run.is_alive()
            assert time.monotonic() < end
            time.sleep(0.01)
        run.kill()
        run.join()
        time.sleep(0.5)  # the workers notice
        assert not (tmp_path / 'annotations/panoptic_val2017.json').exists()
        for path in pngs.glob('0*.png'):
            decode_panoptic_png(path)  # raises for half a file
        (part,) = prepare(source, tmp_path, **options)
        assert 0 < part.num_written < 100
        assert read_tree(tmp_path) == without_train(read_tree(samples))

    def test_other_annotations_are_merged_anew(self, coco_tree, prepared):
        content = coco_tree.read_json('panoptic_val2017')
        for annotation in content['annotations']:
            annotation['segments_info'][0]['category_id'] = 18
        coco_tree.write_json('panoptic_val2017', content)
        parts = prepare(coco_tree.root, prepared)
        assert [part.num_written for part in parts] == [0, 3]
        classes = read_report(prepared, 'val2017')['classes']
        assert classes['dog']['panoptic'] == 3 * 8
        assert classes['person']['panoptic'] == 0

    def test_another_rule_is_merged_anew(
        self, coco_tree, prepared, monkeypatch
    ):
        monkeypatch.setattr(coco, '_MERGE_RULE', -1)
        parts = prepare(coco_tree.root, prepared)
        assert [part.num_written for part in parts] == [12, 3]


class TestRefusals:
    def test_image_that_viewers_turn(self, coco_tree, tmp_path):
        path = coco_tree.root / 'val2017' / f'{0:012}.jpg'
        exif = Image.Exif()
        exif[0x0112] = 3
        with Image.open(path) as image:
            image.save(path, exif=exif)
        with pytest.raises(ValueError, match=f'{path} has EXIF orientation 3'):
            prepare(coco_tree.root, tmp_path / 'prepared')

    def test_source_as_target(self, coco_tree, tmp_path):
        (tmp_path / 'alias').symlink_to(coco_tree.root)
        before = read_tree(coco_tree.root)
        with pytest.raises(
            ValueError, match='source and target are both .*; the official'
        ):
            prepare(coco_tree.root, tmp_path / 'alias')
        assert read_tree(coco_tree.root) == before

    def test_nothing_is_written_before_all_is_checked(
        self, coco_tree, tmp_path
    ):
        (coco_tree.annotations / 'instances_val2017.json').unlink()
        with pytest.raises(FileNotFoundError, match='instances_val2017.json'):
            prepare(coco_tree.root, tmp_path / 'prepared')
        assert not (tmp_path / 'prepared').exists()

    def test_somebody_elses_annotations(self, coco_tree, tmp_path):
        target = tmp_path / 'prepared'
        path = target / 'annotations' / 'panoptic_train2017.json'
        path.parent.mkdir(parents=True)
        official = coco_tree.annotations / path.name
        path.write_bytes(official.read_bytes())
        with pytest.raises(
            FileExistsError,
            match=re.escape(f'{path} was not written by this preparation'),
        ):
            prepare(coco_tree.root, target)
        assert path.read_bytes() == official.read_bytes()

    def test_another_vocabulary(self, coco_tree, prepared):
        path = prepared / 'vocabulary.json'
        path.write_text('{"classes": ["cat"]}')
        with pytest.raises(
            FileExistsError,
            match=re.escape(f'{path} is not the built-in coco_stuff171;'),
        ):
            prepare(coco_tree.root, prepared)

    def test_folder_where_the_link_belongs(self, coco_tree, tmp_path):
        target = tmp_path / 'prepared'
        (target / 'train2017').mkdir(parents=True)
        with pytest.raises(
            FileExistsError, match='train2017 exists and is no link to'
        ):
            prepare(coco_tree.root, target)

    def test_full_disk(self, coco_tree, tmp_path, monkeypatch):
        monkeypatch.setattr(
            files.shutil,
            'disk_usage',
            lambda folder: type('Usage', (), {'free': 10}),
        )
        with pytest.raises(OSError, match='GB are needed but only 0.0 GB are'):
            prepare(coco_tree.root, tmp_path / 'prepared')


class TestSemanticLabels:
    def test_labels_become_positions(self):
        # person, train-to-truck around no gap, stop sign after the first
        # gap, toothbrush, banner, wood, unlabelled
        labels = np.array([[0, 6, 7, 12, 89, 91, 181, 255]], np.uint8)
        found = semantic_labels(labels)
        assert found.tolist() == [[0, 6, 7, 11, 79, 80, 170, 255]]
        assert found.dtype == np.uint8

    @pytest.mark.parametrize('label', [11, 25, 90, 182, 254])
    def test_unknown_label(self, label):
        with pytest.raises(
            ValueError, match=rf'labels \[{label}\] are unknown'
        ):
            semantic_labels(np.array([[0, label, 255]], np.uint8))

    def test_names_are_those_of_the_annotations(self, samples_dir):
        """Every region of the stuff JSON has its class by name."""
        mask = pytest.importorskip('pycocotools.mask')
        folder = samples_dir / 'coco_stuff200'
        content = json.loads(
            (folder / 'annotations' / 'stuff_val2017.json').read_text()
        )
        category_names = {c['id']: c['name'] for c in content['categories']}
        file_names = {i['id']: i['file_name'] for i in content['images']}
        words = Vocabulary.load('coco_stuff171')
        equal = total = 0
        for annotation in content['annotations'][:100]:
            name = category_names[annotation['category_id']]
            if name == 'other':
                continue
            png = file_names[annotation['image_id']].replace('jpg', 'png')
            semantic = semantic_labels(
                read_labels(folder / 'stuffthingmaps' / 'val2017' / png)
            )
            region = mask.decode(annotation['segmentation']).astype(bool)
            stuff = region & (semantic >= 80) & (semantic != 255)
            equal += np.sum(semantic[stuff] == words.index(name))
            total += stuff.sum()
        assert total > 1_000_000
        assert equal / total > 0.999

    def test_official_maps_are_read(self, samples_dir):
        folder = samples_dir / 'coco_stuffthingmaps' / 'stuffthingmaps'
        for path in sorted(folder.rglob('*.png')):
            labels = read_labels(path)
            semantic = semantic_labels(labels)
            np.testing.assert_array_equal(semantic == 255, labels == 255)
