"""Pseudo labels of the shapes world, made by random weights."""

import json
import os
import random
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from warm_processes import run_warm

from freeseg_mm.datasets.from_config import build_dataset
from freeseg_mm.recipes.processes import RunFailedError
from freeseg_mm.recipes.self_training import PseudoLabelSettings
from freeseg_mm.recipes.self_training.labelling import (
    training_images,
    vocabulary_to_predict,
)
from freeseg_mm.shapes import WorldOptions, generate_shapes
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.journal import Journal
from freeseg_mm.utils.panoptic_png import (
    decode_panoptic_png,
    encode_panoptic_png,
)
from freeseg_mm.utils.parallel import Shard

JSON = 'annotations/panoptic_train.json'
PNGS = 'annotations/panoptic_train'


def files_of(folder):
    """All files below a folder with their bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


def gt_of(world):
    content = json.loads((world / JSON).read_text())
    vocabulary = Vocabulary.load(world / 'vocabulary.json')
    is_seen = {
        category['id']: vocabulary.is_seen[vocabulary.index(category['name'])]
        for category in content['categories']
    }
    return content, is_seen


def test_pseudo_segments_lie_where_no_seen_label_is(labelling, world):
    job = labelling()
    assert job.run()
    files = files_of(job.out)
    content = json.loads(files['pseudo_labels.json'])
    gt, is_seen = gt_of(world)
    assert len(content['annotations']) == len(gt['annotations']) == 8
    seen_names = {c['name'] for c in gt['categories'] if is_seen[c['id']]}
    names = {c['name'] for c in content['categories']}
    assert names
    assert not names & seen_names
    num_segments = 0
    for annotation, true in zip(
        content['annotations'], gt['annotations'], strict=True
    ):
        assert annotation['image_id'] == true['image_id']
        ids = decode_panoptic_png(
            job.out / 'pseudo_labels' / annotation['file_name']
        )
        true_ids = decode_panoptic_png(world / PNGS / true['file_name'])
        seen_ids = [
            s['id'] for s in true['segments_info'] if is_seen[s['category_id']]
        ]
        assert not (ids[np.isin(true_ids, seen_ids)] > 0).any()
        infos = annotation['segments_info']
        assert set(np.unique(ids)) - {0} == {info['id'] for info in infos}
        for info in infos:
            mask = ids == info['id']
            assert info['area'] == mask.sum()
            x, y, width, height = info['bbox']
            assert mask[y : y + height, x : x + width].sum() == mask.sum()
            assert 0 <= info['score'] <= 1
            assert info['iscrowd'] == 0
        num_segments += len(infos)
    assert num_segments
    assert '8 images' in files['summary.txt'].decode()
    assert len([name for name in files if name.startswith('pictures/')]) == 1
    assert not [name for name in files if 'unfinished' in name]


def poison(world, kind):
    """Change what the files say of unseen segments, and nothing else."""
    gt, is_seen = gt_of(world)
    unseen = [id_ for id_, seen in is_seen.items() if not seen]
    rng = np.random.default_rng(0)
    num_changed = 0
    for annotation in gt['annotations']:
        path = world / PNGS / annotation['file_name']
        ids = decode_panoptic_png(path)
        kept = []
        for segment in annotation['segments_info']:
            if is_seen[segment['category_id']]:
                kept.append(segment)
                continue
            num_changed += 1
            mask = ids == segment['id']
            if kind == 'categories':
                segment['category_id'] = int(rng.choice(unseen))
                kept.append(segment)
            elif kind == 'ids':
                segment['id'] = 10**6 + num_changed
                ids[mask] = segment['id']
                kept.insert(0, segment)
            else:
                ids[mask] = 0
        annotation['segments_info'] = kept
        encode_panoptic_png(ids, path)
    assert num_changed
    (world / JSON).write_text(json.dumps(gt))


@pytest.mark.parametrize('kind', ['categories', 'ids', 'erased'])
def test_no_unseen_label_is_read(labelling, world, kind):
    first, second = labelling('first'), labelling('second')
    first.run()
    poison(world, kind)
    second.run()
    assert files_of(first.out) == files_of(second.out)


class Killed(BaseException):
    """Stands for an end that nothing can catch."""


@pytest.mark.parametrize('after', [0, 3])
def test_killed_run_goes_on_to_the_same_files(labelling, monkeypatch, after):
    whole, broken = labelling('whole'), labelling('broken')
    whole.run()

    append, count = Journal.append, []

    def kill(journal, record):
        if len(count) == after:
            raise Killed
        count.append(record)
        append(journal, record)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, 'append', kill)
        with pytest.raises(Killed):
            broken.run()
    assert not (broken.out / 'pseudo_labels.json').exists()
    # a record that was cut short
    with (broken.out / '.unfinished-1-of-1.jsonl').open('a') as file:
        file.write('{"image_id": 4, "fi')

    again = []

    def note(journal, record):
        again.append(record)
        append(journal, record)

    monkeypatch.setattr(Journal, 'append', note)
    assert broken.run()
    assert len(again) == 8 - after
    assert files_of(broken.out) == files_of(whole.out)
    # nothing is left to do
    assert not broken.run()
    assert len(again) == 8 - after


@pytest.mark.parametrize('order', [(1, 2, 3), (3, 1), ()])
def test_shares_of_processes_are_joined(labelling, order):
    """Those that are missing are made by who joins."""
    whole, shared = labelling('whole'), labelling('shared')
    whole.run()
    for number in order:
        assert replace(shared, shard=Shard(number, 3)).run()
    assert not (shared.out / 'pseudo_labels.json').exists()
    names = [path.name for path in shared.out.glob('pseudo_labels/*')]
    # of eight images
    assert len(names) == sum({1: 3, 2: 3, 3: 2}[n] for n in order)
    # another number of shares goes on, too
    assert replace(shared, shard=Shard(2, 2)).run()
    assert shared.run()
    assert files_of(shared.out) == files_of(whole.out)
    assert not replace(shared, shard=Shard(1, 3)).run()
    assert not shared.run()


def test_shares_of_other_settings_are_not_joined(labelling):
    shared, other = labelling(), labelling(limit=3)
    replace(shared, shard=Shard(1, 2)).run()
    other.run()
    whole = labelling('whole', limit=3)
    whole.run()
    names = files_of(whole.out).keys()
    assert {k: v for k, v in files_of(other.out).items() if k in names} == (
        files_of(whole.out)
    )


@pytest.fixture
def command(tiny_run_config, tiny_weights, tmp_path):
    """Arguments of the command, on a world of so many images; its folder."""

    def make(count):
        root = tmp_path / 'large'
        options = WorldOptions(train=count, val=1, clip=1, tune=1, size=64)
        generate_shapes(root, options, workers=1)
        tiny_run_config.train_dataloader.dataset.data_root = str(root)
        config = tmp_path / 'large.py'
        tiny_run_config.dump(config)
        return [
            *(config, tiny_weights[1], '--device', 'cpu'),
            *('--score-thr', 0, '--min-area', 0, '--min-unlabelled', 0),
            *('--overlap-thr', 0, '--num-workers', 0, '--num-pictures', 0),
        ]

    return make


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork here')
def test_four_killed_processes_make_the_same_files(command, tmp_path, request):
    kills = request.config.getoption('--kills') or 2
    count = 6 * kills
    arguments = command(count)
    limits = sorted(random.Random(0).sample(range(1, count - 3), kills))
    for out, number, moments in (('whole', 1, []), ('four', 4, limits)):
        done = run_warm(
            [
                *(Path(__file__).parent / 'killed_shards.py', tmp_path / out),
                *(number, ','.join(map(str, moments))),
                *(*arguments, '--out', tmp_path / out),
            ],
            timeout=None,
        )
        ends = re.findall('^ended: (.*)', done.stdout, re.MULTILINE)
        assert ends[-1:] == ['all 0'], done.stderr[-3000:]
    print('\n'.join(ends))
    assert len(ends) == kills + 2
    for end, limit in zip(ends, limits, strict=False):
        there, *codes = map(int, end.split())
        assert there >= limit
        assert -9 in codes
    files = files_of(tmp_path / 'four')
    assert files == files_of(tmp_path / 'whole')
    assert len(files) == count + 3  # JSON, summary and stamp


@pytest.mark.slow
def test_processes_are_started_and_joined(labelling):
    whole, shared = labelling('whole'), labelling('shared', gpus=2)
    whole.run()
    shared.run()
    assert files_of(shared.out) == files_of(whole.out)


def test_a_process_that_fails_is_shown(labelling, tmp_path, monkeypatch):
    job = labelling(gpus=2)
    monkeypatch.setattr(
        'freeseg_mm.recipes.self_training.labelling.sys.executable',
        shutil.which('false'),
    )
    with pytest.raises(RunFailedError, match='2 of 2 processes failed, as ps'):
        job.run()
    assert not (job.out / 'pseudo_labels.json').exists()


def test_other_settings_do_not_mix(labelling):
    labelling().run()
    other = labelling(settings=PseudoLabelSettings(score_thr=0.1))
    with pytest.raises(FileExistsError, match='of other weights, data or'):
        other.run()


def test_labels_train_the_run(labelling, tiny_run_config):
    job = labelling(limit=5)
    job.run()
    settings = tiny_run_config.train_dataloader.dataset
    settings.pseudo_labels = str(job.out)
    dataset = build_dataset(settings)
    vocabulary = dataset[0]['data_samples'].vocabulary
    assert not all(vocabulary.is_seen)
    labels = {
        segment['label']
        for index in range(len(dataset))
        for segment in dataset[index]['data_samples'].segments
    }
    assert any(not vocabulary.is_seen[label] for label in labels)


def test_without_the_prior_all_names_are_predicted(tiny_vocabulary):
    predicted = vocabulary_to_predict(tiny_vocabulary, PseudoLabelSettings())
    assert predicted.names == ('zebra', 'sky')
    predicted = vocabulary_to_predict(
        tiny_vocabulary, PseudoLabelSettings(prior=False)
    )
    assert predicted is tiny_vocabulary


def test_nothing_unseen_is_refused():
    vocabulary = Vocabulary.from_names(['cat'], unseen=[], name='one')
    with pytest.raises(ValueError, match="'one': all 1 classes are seen"):
        vocabulary_to_predict(vocabulary, PseudoLabelSettings())


def test_runs_on_every_label_or_several_sets_are_refused(tiny_run_config):
    settings = tiny_run_config.train_dataloader.dataset
    tiny_run_config.train_dataloader.dataset = {
        'type': 'ConcatDataset',
        'datasets': [settings, settings],
    }
    with pytest.raises(ValueError, match='trains on 2 datasets'):
        training_images(tiny_run_config)
    settings.split = 'all'
    tiny_run_config.train_dataloader.dataset = settings
    with pytest.raises(ValueError, match="has split='all', which knows"):
        training_images(tiny_run_config)


def test_missing_weights_and_limit(labelling, tmp_path):
    with pytest.raises(ValueError, match='limit: expected at least 1, got 0'):
        labelling(limit=0).run()
    job = replace(labelling(), checkpoint=tmp_path / 'gone.pth')
    with pytest.raises(FileNotFoundError, match=r'no checkpoint .*gone\.pth'):
        job.run()
