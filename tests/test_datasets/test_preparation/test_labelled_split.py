"""What preparations from label files share, on the small VOC and ADE20K."""

import json
import os
import re

import pytest

from freeseg_mm.datasets.preparation import labelled_split
from freeseg_mm.datasets.preparation.ade20k import prepare_ade20k
from freeseg_mm.datasets.preparation.labelled_split import summarize_labels
from freeseg_mm.datasets.preparation.split_preparation import SourceImage
from freeseg_mm.datasets.preparation.voc import prepare_voc
from freeseg_mm.structures import Task, Vocabulary


def read_tree(root):
    """Content of every file that is not behind a link."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob('*')
        if path.is_file() and not path.is_symlink()
    }


@pytest.fixture(params=['ade20k', 'voc'])
def source(request):
    """One of the downloads: its folder and what prepares it."""
    if request.param == 'voc':
        tree = request.getfixturevalue('voc_tree')
        return tree, prepare_voc, tree.mask(3)
    tree = request.getfixturevalue('ade_tree')
    tree.write_instances('training', 12)
    return tree, prepare_ade20k, tree.semantic('training', 4)


@pytest.fixture
def prepare(source):
    tree, function, _ = source

    def run(target, **options):
        return function(
            tree.root, target, subset=True, say=lambda text: None, **options
        )

    return run


def test_number_of_workers_does_not_matter(prepare, tmp_path):
    prepare(tmp_path / 'one')
    prepare(tmp_path / 'three', workers=3)
    assert read_tree(tmp_path / 'one') == read_tree(tmp_path / 'three')


def test_second_run_writes_nothing(prepare, tmp_path):
    def times():
        return {
            path: path.lstat().st_mtime_ns
            for path in tmp_path.glob('prepared/**/*')
            if not path.is_dir() or path.is_symlink()
        }

    first = prepare(tmp_path / 'prepared')
    before = times()
    second = prepare(tmp_path / 'prepared')
    assert [part.num_written for part in second] == [0, 0]
    assert times() == before
    assert [p.summary for p in second] == [p.summary for p in first]


@pytest.mark.parametrize('workers', [1, 2])
def test_run_that_failed_goes_on(source, prepare, tmp_path, workers):
    path = source[2]
    prepare(tmp_path / 'whole')
    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    target = tmp_path / 'prepared'
    with pytest.raises(ValueError, match=re.escape(str(path))):
        prepare(target, workers=workers)
    assert not list(target.glob('annotations/*.json'))
    assert not [name for name in read_tree(target) if '.partial' in name]
    path.write_bytes(whole)
    parts = prepare(target, workers=workers)
    # the three images before the damaged one are done
    assert parts[0].num_written < len(
        list((target / 'annotations').glob('semantic_train*/*'))
    )
    assert read_tree(target) == read_tree(tmp_path / 'whole')


def test_label_that_changed_is_read_again(source, prepare, tmp_path):
    target = tmp_path / 'prepared'
    prepare(target)
    path = source[2]
    later = max(p.stat().st_mtime for p in target.rglob('*.png')) + 10
    os.utime(path, (later, later))
    parts = prepare(target)
    assert [part.num_written for part in parts] == [1, 0]


def test_another_rule_prepares_anew(prepare, tmp_path, monkeypatch):
    prepare(tmp_path / 'prepared')
    monkeypatch.setattr(labelled_split, '_RULE', -1)
    assert all(part.num_written for part in prepare(tmp_path / 'prepared'))


def test_lost_png_comes_back(prepare, tmp_path):
    target = tmp_path / 'prepared'
    prepare(target)
    before = read_tree(target)
    for kind in ('panoptic', 'semantic'):
        path = sorted(target.glob(f'annotations/{kind}_train*/*.png'))[1]
        path.unlink()
        assert [part.num_written for part in prepare(target)] == [1, 0]
        assert read_tree(target) == before


def test_estimate_is_not_below_what_is_written(source, tmp_path):
    tree, function, _ = source
    said = []
    target = tmp_path / 'prepared'
    function(tree.root, target, subset=True, copy=True, say=said.append)
    estimated = sum(
        float(re.search(r'about ([\d.]+) GB', line)[1]) * 1e9 for line in said
    )
    written = sum(
        path.stat().st_size for path in target.rglob('*') if path.is_file()
    )
    assert 'images to prepare, about' in said[0]
    assert written <= estimated + 1e6  # said in whole megabytes


def test_somebody_elses_annotations(prepare, tmp_path):
    target = tmp_path / 'prepared'
    prepare(target)
    path = next(target.glob('annotations/panoptic_train*.json'))
    content = json.loads(path.read_text())
    del content['info']
    path.write_text(json.dumps(content))
    with pytest.raises(
        FileExistsError,
        match=re.escape(f'{path} was not written by this preparation'),
    ):
        prepare(target)


def test_source_as_target(source):
    tree, function, _ = source
    before = read_tree(tree.root)
    with pytest.raises(ValueError, match='source and target are both'):
        function(tree.root, tree.root, subset=True)
    assert read_tree(tree.root) == before


def test_folders_become_part_of_the_name():
    image = SourceImage(1, 'winter/day 2/7.jpeg')
    assert image.png_name == 'winter-day 2-7.png'


NAMES = Vocabulary.from_names(
    ['cat', 'sky', *(f'class {index}' for index in range(10))], things=['cat']
)


def record(*segments):
    return {
        'size': [10, 20],
        'annotation': {
            'segments_info': [
                {'category_id': category, 'iscrowd': crowd, 'area': area}
                for category, crowd, area in segments
            ]
        },
    }


def test_summary_by_hand():
    # 400 pixels, 50 + 100 + 150 labelled; one thing that is no crowd
    records = [record((1, 0, 50), (1, 1, 100)), record((2, 0, 150))]
    assert summarize_labels('train', records, NAMES, list(Task)) == [
        'train: 2 images, 3 segments, 1 of them single objects',
        '  classes that occur: 2 of 12; absent: class 0; class 1; class 2; '
        'class 3; class 4; class 5; class 6; class 7, ...',
        '  unlabelled: 25.00 % of the pixels',
        '  serves for: semantic, instance, panoptic',
    ]


def test_reason_for_fewer_tasks_and_no_absent_class():
    few = NAMES.subset([0, 1], 'few')
    records = [record((1, 1, 100), (2, 0, 100))]
    lines = summarize_labels(
        'val', records, few, [Task.SEMANTIC], 'no objects'
    )
    assert lines[1] == '  classes that occur: 2 of 2'
    assert lines[2:] == [
        '  unlabelled: 0.00 % of the pixels',
        '  serves for: semantic (no objects)',
    ]
