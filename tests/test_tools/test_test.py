import json

import numpy as np
import pytest
import torch
from mmdet.structures.mask import mask2bbox
from mmengine.structures import InstanceData, PixelData

from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.panoptic_png import decode_panoptic_png

METRICS = {
    'semantic/mIoU_seen',
    'semantic/mIoU_unseen',
    'semantic/hIoU',
    'semantic/mIoU',
    'instance/mAP_seen',
    'instance/mAP_unseen',
    'instance/mAP',
    'instance/AP50',
    'instance/AP75',
    'panoptic/PQ_seen',
    'panoptic/SQ_seen',
    'panoptic/RQ_seen',
    'panoptic/PQ_unseen',
    'panoptic/SQ_unseen',
    'panoptic/RQ_unseen',
    'panoptic/PQ',
    'panoptic/SQ',
    'panoptic/RQ',
}


@pytest.fixture
def perfect_model(monkeypatch):
    """Let every FreeSeg predict the truth, whatever its weights."""

    def predict(self, batch_inputs, batch_data_samples, rescale=True):
        for sample in batch_data_samples:
            is_thing = sample.vocabulary.is_thing
            ids = torch.from_numpy(decode_panoptic_png(sample.seg_map_path))
            sample.pred_panoptic_seg = PixelData(
                metainfo={'segments_info': sample.segments}, sem_seg=ids[None]
            )
            labels = torch.zeros_like(ids)
            for segment in sample.segments:
                labels[ids == segment['id']] = segment['label']
            sample.pred_sem_seg = PixelData(sem_seg=labels[None])
            things = [s for s in sample.segments if is_thing[s['label']]]
            masks = torch.stack([ids == thing['id'] for thing in things])
            sample.pred_instances = InstanceData(
                bboxes=mask2bbox(masks),
                labels=torch.tensor([thing['label'] for thing in things]),
                scores=torch.ones(len(things)),
                masks=masks,
            )
        return batch_data_samples

    monkeypatch.setattr(FreeSeg, 'predict', predict)


def test_writes_results(
    config_file, checkpoint, run_tool, perfect_model, shapes_world, tmp_path
):
    out = tmp_path / 'results' / 'tiny.json'
    run_tool('test.py', config_file, checkpoint, '--out', out)
    results = json.loads(out.read_text())
    per_class = results.pop('per_class')
    metrics = results.pop('metrics')
    vocabulary = Vocabulary.load(shapes_world / 'vocabulary.json')
    assert results.pop('test_cfg')['ensemble']['mode'] == 'geometric'
    assert results == {
        'config': str(config_file),
        'checkpoint': str(checkpoint),
        'vocabulary': {
            'name': 'shapes',
            'hash': vocabulary.content_hash,
            'classes': 45,
        },
        'options': {},
        'images': 4,
    }
    assert set(metrics) == METRICS
    assert metrics == pytest.approx(dict.fromkeys(METRICS, 100.0))
    names = np.array(vocabulary.names)
    things = names[list(vocabulary.is_thing)]
    assert list(per_class) == ['semantic', 'instance', 'panoptic']
    assert list(per_class['semantic']) == names.tolist()
    assert list(per_class['instance']) == things.tolist()
    assert list(per_class['panoptic']) == names.tolist()
    # null is a class that no image shows
    values = {row['IoU'] for row in per_class['semantic'].values()}
    assert values == {100.0, None}


def test_options_reach_the_test(config_file, checkpoint, run_tool, tmp_path):
    out = tmp_path / 'results.json'
    run_tool(
        'test.py',
        config_file,
        checkpoint,
        '--out',
        out,
        '--cfg-options',
        'model.test_cfg.ensemble.mode=clip',
        # a test starts from its checkpoint, whatever training does
        'resume=True',
    )
    results = json.loads(out.read_text())
    assert results['test_cfg']['ensemble']['mode'] == 'clip'
    assert results['options'] == {
        'model.test_cfg.ensemble.mode': 'clip',
        'resume': True,
    }
    assert set(results['metrics']) == METRICS


def test_views_are_joined(config_file, checkpoint, run_tool, tmp_path):
    out = tmp_path / 'results.json'
    run_tool('test.py', config_file, checkpoint, '--out', out, '--tta')
    results = json.loads(out.read_text())
    assert set(results['metrics']) == METRICS
    assert results['test_cfg']['ensemble']['mode'] == 'geometric'
    assert results['images'] == 4


def test_missing_checkpoint_is_named(config_file, run_tool, tmp_path, capsys):
    path = tmp_path / 'absent.pth'
    with pytest.raises(SystemExit) as caught:
        run_tool('test.py', config_file, path)
    assert caught.value.code == 1
    assert capsys.readouterr().err == f'test: no checkpoint {path}\n'


@pytest.mark.parametrize('name', ['results.pkl', 'results'])
def test_results_are_json(
    config_file, checkpoint, run_tool, tmp_path, name, capsys
):
    with pytest.raises(SystemExit) as caught:
        run_tool('test.py', config_file, checkpoint, '--out', tmp_path / name)
    assert caught.value.code == 1
    assert capsys.readouterr().err == (
        f'test: --out {tmp_path / name}: expected a name ending in .json\n'
    )


@pytest.mark.parametrize('place', ['a_file/results.json', 'folder.json'])
def test_results_that_cannot_be_written(
    config_file, checkpoint, run_tool, tmp_path, place, capsys, monkeypatch
):
    """Said before the hours of the test, and nothing stays."""
    (tmp_path / 'a_file').write_text('')
    (tmp_path / 'folder.json').mkdir()
    monkeypatch.setattr('mmengine.runner.Runner.test', None)
    with pytest.raises(SystemExit) as caught:
        run_tool('test.py', config_file, checkpoint, '--out', tmp_path / place)
    assert caught.value.code == 1
    assert capsys.readouterr().err.startswith('test: ')
    assert not list((tmp_path / 'folder.json').iterdir())


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda state: dict(list(state.items())[::2]), 'does not fit'),
        (lambda state: {}, 'does not fit'),
        (lambda state: {**state, 'other': torch.ones(1)}, 'does not fit'),
        (lambda state: {k: v[None] for k, v in state.items()}, 'not fit'),
        (
            lambda state: {
                k: v * float('nan') if v.is_floating_point() else v
                for k, v in state.items()
            },
            'holds NaN',
        ),
    ],
    ids=['half', 'none', 'more', 'shapes', 'nan'],
)
def test_weights_that_do_not_fit_are_not_scored(
    config_file, checkpoint, run_tool, capsys, change, words
):
    content = torch.load(checkpoint, weights_only=True)
    torch.save({'state_dict': change(content['state_dict'])}, checkpoint)
    with pytest.raises(SystemExit) as caught:
        run_tool('test.py', config_file, checkpoint)
    assert caught.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith(f'test: {checkpoint}')
    assert words in error


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--show-dir', '/proc/zz'], "test: '/proc/zz"),
        (['--cfg-options', 'test_cfg=5'], 'the config builds no test (TypeE'),
        (
            ['--cfg-options', 'test_dataloader.dataset.pipeline=5'],
            'the config builds no test (TypeError: ',
        ),
    ],
)
def test_settings_that_no_test_has(
    config_file, checkpoint, run_tool, capsys, arguments, words
):
    with pytest.raises(SystemExit) as caught:
        run_tool('test.py', config_file, checkpoint, *arguments)
    assert caught.value.code == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith('test: ')
    assert words in line
