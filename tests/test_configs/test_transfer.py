"""Transfer: official layouts, by the documented commands, to metrics."""

import re
import shlex

import numpy as np
import pytest
import torch
import transfer_trees
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from freeseg_mm.cli import main
from freeseg_mm.registry import DATASETS, METRICS

NAMES = (
    'cityscapes', 'mapillary', 'context59', 'context459', 'ade20k847', 'lvis',
)  # fmt: skip
FALSE = np.zeros(transfer_trees.SIZE, bool)
FALSE[-1, -1] = True


def commands_of(repo, name):
    """Commands of the document that make the data set."""
    text = (repo / 'docs/own_data.md').read_text('utf-8')
    section = text[text.index('## Data sets of the field') :]
    block = re.search(r'```bash\n(.*?)```', section, re.S)[1]
    lines = block.replace('\\\n', ' ').splitlines()
    classes = f'{name}.json'
    return [
        words
        for words in map(shlex.split, lines)
        if f'data/{name}' in words or classes in words
    ]


@pytest.fixture
def prepared(repo, tmp_path, monkeypatch):
    """Draw a data set, make it as documented; its scene and config."""
    monkeypatch.chdir(tmp_path)
    init_default_scope('mmdet')

    def prepare(name):
        folder = {'lvis': 'coco'}.get(name, name)
        in_folder = name in ('cityscapes', 'mapillary', 'lvis')
        write = getattr(transfer_trees, f'write_{name}')
        scene = write(tmp_path / folder if in_folder else tmp_path)
        commands = commands_of(repo, name)
        assert commands
        for command in commands:
            words = command[1:]
            if words[0] == 'prepare':
                words += ['--subset']
            if words[0] != 'vocab':
                words += ['--workers', '1']
            assert main(words) == 0
        config = Config.fromfile(repo / f'configs/transfer/{name}.py')
        return scene, config

    return prepare


def predictions(dataset, semantic, objects, things):
    """Samples with results of all tasks.

    Args:
        dataset: The data set.
        semantic: Class name of each pixel, '' for whatever; or None.
        objects: Of an image id, (name, score, mask) found.
        things: Names of things, (name, mask), of the panoptic result.
    """
    index = dataset.vocabulary.index
    for place in range(len(dataset)):
        record = dataset.get_data_info(place)
        size = record['height'], record['width']
        found = objects(record['img_id'])
        sample = {
            'ori_shape': size,
            'pred_instances': {
                'bboxes': torch.zeros(len(found), 4),
                'labels': torch.tensor([index(name) for name, _, _ in found]),
                'scores': torch.tensor([score for _, score, _ in found]),
                'masks': torch.from_numpy(np.array([m for *_, m in found])),
            },
            **{
                key: record[key]
                for key in ('img_id', 'segments', 'seg_map_path')
            },
        }
        if 'sem_seg_path' in record:
            sample['sem_seg_path'] = record['sem_seg_path']
        if semantic is not None:
            classes = np.zeros(size, np.int64)
            ids, infos = np.zeros(size, np.int64), []
            names = sorted(set(semantic.flat) - {''})
            for name in names:
                classes[semantic == name] = index(name)
            regions = [(name, semantic == name) for name in names]
            for number, (name, mask) in enumerate([*regions, *things], 1):
                ids[mask] = number
                infos.append({'id': number, 'label': index(name)})
            present = set(np.unique(ids).tolist())
            sample['pred_sem_seg'] = {'sem_seg': torch.tensor(classes)[None]}
            sample['pred_panoptic_seg'] = {
                'sem_seg': torch.tensor(ids)[None],
                'segments_info': [x for x in infos if x['id'] in present],
            }
        yield sample


def evaluate(config, *results):
    dataset = DATASETS.build(config.test_dataloader.dataset)
    assert not any(dataset.vocabulary.is_seen)
    found = {}
    for metric in map(METRICS.build, config.test_evaluator):
        metric.dataset_meta = dataset.metainfo
        samples = list(predictions(dataset, *results))
        metric.process(None, samples)
        found |= metric.evaluate(size=len(samples))
    return found


@pytest.mark.parametrize('name', NAMES[:-1])
def test_what_is_drawn_is_what_is_measured(name, prepared):
    scene, config = prepared(name)
    objects = [(name, 0.5, mask) for name, mask in scene.objects]
    perfect = evaluate(config, scene.names, lambda _: objects, scene.objects)
    tasks = config.model.test_cfg.tasks
    means = {'semantic': 'mIoU', 'instance': 'mAP', 'panoptic': 'PQ'}
    for task in tasks:
        for suffix in ('', '_unseen'):
            key = f'{task}/{means[task]}{suffix}'
            assert perfect[key] == pytest.approx(100), key

    # the thing on the right is taken for what is around it: of C classes it
    # is lost, and the other has n of n + 9 pixels
    around = scene.names[4, 6]
    lost = scene.names[transfer_trees.REST].flat[0]
    wrong = np.where(scene.names == lost, around, scene.names)
    kept = [found for found in objects if found[0] != lost]
    metrics = evaluate(
        config,
        wrong,
        lambda _: (
            [*kept, ('car' if name == 'cityscapes' else 'Car', 0.9, FALSE)]
            if kept
            else []
        ),
        [pair for pair in scene.objects if pair[0] != lost],
    )
    num_classes = len(set(scene.names.flat) - {''})
    pixels = (scene.names == around).sum()
    assert metrics['semantic/mIoU'] == pytest.approx(
        100 * (num_classes - 2 + pixels / (pixels + 9)) / num_classes
    )
    if 'instance' in tasks:
        # false before 2 right ones an image, of all images: 4 of 6 at most
        of_objects = {name for name, _ in scene.objects}
        assert metrics['instance/mAP'] == pytest.approx(
            100 * (2 / 3) / len(of_objects)
        )
        assert metrics['panoptic/PQ'] < 100


def test_lvis_is_measured_by_its_own_rule(prepared):
    scene, config = prepared('lvis')
    right = {
        id_: [(name, 0.5, mask) for name, mask in objects]
        for id_, objects in scene.objects.items()
    }
    without_effect = {
        # some cans have no annotation; no minivan is there, or anywhere
        139: [('aerosol can', 0.9, FALSE), ('minivan', 0.9, FALSE)],
        # nobody looked for cans
        285: [('aerosol can', 0.9, FALSE)],
    }
    metrics = evaluate(
        config, None, lambda id_: right[id_] + without_effect[id_], []
    )
    for key in ('mAP', 'mAP_unseen', 'APr', 'APc', 'APf'):
        assert metrics[f'instance/{key}'] == pytest.approx(100), key
    # a false car before two right ones: 2 of 3 at every recall
    metrics = evaluate(
        config,
        None,
        lambda id_: (
            right[id_] + [('car (automobile)', 0.9, FALSE)] * (id_ < 200)
        ),
        [],
    )
    assert metrics['instance/APf'] == pytest.approx(200 / 3)
    assert metrics['instance/mAP'] == pytest.approx((100 + 100 + 200 / 3) / 3)
    # COCO's rule counts both cans
    config.test_evaluator[0].type = 'freeseg_mm.OpenVocabInsMetric'
    metrics = evaluate(
        config, None, lambda id_: right[id_] + without_effect[id_], []
    )
    assert metrics['instance/mAP'] == pytest.approx((100 + 100 + 100 / 3) / 3)


@pytest.mark.parametrize('name', NAMES)
def test_every_file_is_found_whole(name, prepared, repo, capsys):
    prepared(name)
    path = str(repo / f'configs/transfer/{name}.py')
    assert main(['check', path, '--split', 'test', '--workers', '1']) == 0
    assert '2 images' in capsys.readouterr().out


@pytest.mark.parametrize('name', NAMES)
def test_network_is_tested(name, prepared, tiny_run_config):
    """Its metrics are those of its tasks, whatever their values."""
    _, config = prepared(name)
    run = tiny_run_config
    run.model.test_cfg.tasks = config.model.test_cfg.tasks
    pipeline = run.test_dataloader.dataset.pipeline
    run.test_dataloader.dataset = config.test_dataloader.dataset
    run.test_dataloader.dataset.pipeline = pipeline
    run.test_evaluator = config.test_evaluator
    for key in ('train', 'val'):
        for part in ('cfg', 'dataloader', 'evaluator'):
            if f'{key}_{part}' in run:
                run[f'{key}_{part}'] = None
    run.optim_wrapper = run.param_scheduler = None
    metrics = Runner.from_cfg(run).test()
    assert {key.split('/')[0] for key in metrics} == set(
        config.model.test_cfg.tasks
    )
