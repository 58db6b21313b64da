import json
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from mmengine.structures import InstanceData, PixelData
from PIL import Image

from freeseg_mm.engine import FreeSegVisualizer
from freeseg_mm.registry import VISUALIZERS
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.panoptic_png import encode_panoptic_png
from freeseg_mm.visualization import (
    gt_regions,
    panel,
    prediction_regions,
)
from freeseg_mm.visualization.regions import known_regions

SIZE = (40, 60)
IDS = np.ones(SIZE, int)
IDS[:, 20:] = 2
IDS[30:] = 0


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)


@pytest.fixture
def visualizer():
    return VISUALIZERS.build(
        {'type': 'freeseg_mm.FreeSegVisualizer', 'name': 'alone'}
    )


@pytest.fixture
def predicted(make_sample, tmp_path):
    """A test sample with label files, and predictions of all three tasks."""
    sample = make_sample(size=SIZE)
    encode_panoptic_png(IDS, tmp_path / 'ids.png')
    segments = [
        {'id': 1, 'label': 0, 'iscrowd': 0},
        {'id': 2, 'label': 3, 'iscrowd': 0},
    ]
    sample.set_metainfo(
        {'seg_map_path': str(tmp_path / 'ids.png'), 'segments': segments}
    )
    ids = torch.from_numpy(IDS)
    sample.pred_sem_seg = PixelData(sem_seg=(ids == 2).long()[None])
    sample.pred_panoptic_seg = PixelData(
        sem_seg=ids[None],
        metainfo={'segments_info': [{'id': 1, 'label': 1, 'score': 0.5}]},
    )
    sample.pred_instances = InstanceData(
        labels=torch.tensor([1, 0]),
        scores=torch.tensor([0.9, 0.2]),
        bboxes=torch.zeros(2, 4),
        masks=torch.stack([ids == 1, ids == 2]),
    )
    return sample


def drawn(visualizer, monkeypatch, *args, **options):
    """The picture that goes to the backends."""
    pictures = []
    monkeypatch.setattr(
        visualizer, 'add_image', lambda *picture: pictures.append(picture)
    )
    visualizer.add_datasample('sample', *args, step=7, **options)
    ((name, picture, step),) = pictures
    assert (name, step) == ('sample', 7)
    return picture


def test_ground_truth_is_beside_all_three_predictions(
    visualizer, monkeypatch, image, predicted
):
    found = drawn(visualizer, monkeypatch, image, predicted)
    vocabulary = predicted.vocabulary
    rows = {
        'ground truth': gt_regions(predicted.metainfo, vocabulary),
        'prediction': prediction_regions(
            predicted.to_dict(), len(predicted.vocabulary), score_thr=0.3
        ),
    }
    assert len(rows['ground truth']) == len(rows['prediction']) == 3
    np.testing.assert_array_equal(found, panel(image, rows, vocabulary))


def test_either_may_be_left_out(visualizer, monkeypatch, image, predicted):
    vocabulary = predicted.vocabulary
    gt = gt_regions(predicted.metainfo, vocabulary)
    predictions = prediction_regions(
        predicted.to_dict(), len(predicted.vocabulary), score_thr=0.1
    )
    found = drawn(visualizer, monkeypatch, image, predicted, draw_pred=False)
    expected = panel(image, {'ground truth': gt}, vocabulary)
    np.testing.assert_array_equal(found, expected)
    found = drawn(
        visualizer,
        monkeypatch,
        image,
        predicted,
        draw_gt=False,
        pred_score_thr=0.1,
    )
    expected = panel(image, {'prediction': predictions}, vocabulary)
    np.testing.assert_array_equal(found, expected)


def test_targets_of_a_training_sample_are_drawn(
    visualizer, monkeypatch, image, make_sample
):
    sample = make_sample([[1, 2], [0, 2]], [0, 2], size=SIZE)
    found = drawn(visualizer, monkeypatch, image, sample)
    source, regions = known_regions(sample, sample.vocabulary)
    assert source == 'targets'
    expected = panel(image, {'targets': regions}, sample.vocabulary)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('has_sample', [True, False])
def test_image_alone_where_nothing_is_known(
    visualizer, monkeypatch, image, make_sample, has_sample
):
    sample = make_sample(size=SIZE) if has_sample else None
    found = drawn(visualizer, monkeypatch, image, sample)
    np.testing.assert_array_equal(found, image)


def test_large_image_is_drawn_smaller(monkeypatch, image, predicted):
    large = FreeSegVisualizer('large', max_side=30)
    found = drawn(large, monkeypatch, image, predicted, draw_gt=False)
    small = np.asarray(Image.fromarray(image).resize((30, 20)))
    half = predicted.clone()
    ids = torch.from_numpy(IDS[::2, ::2].copy())
    half.pred_sem_seg = PixelData(sem_seg=(ids == 2).long()[None])
    half.pred_panoptic_seg = PixelData(
        sem_seg=ids[None],
        metainfo={'segments_info': predicted.pred_panoptic_seg.segments_info},
    )
    half.pred_instances = InstanceData(
        labels=torch.tensor([1]),
        scores=torch.tensor([0.9]),
        masks=(ids == 1)[None],
    )
    expected = panel(
        small,
        {
            'prediction': prediction_regions(
                half.to_dict(), len(half.vocabulary)
            )
        },
        predicted.vocabulary,
    )
    np.testing.assert_array_equal(found, expected)


def test_no_side_is_refused():
    with pytest.raises(ValueError, match='max_side: expected at least 1'):
        FreeSegVisualizer('none', max_side=0)


def test_file_takes_the_place_of_the_backends(
    visualizer, monkeypatch, image, predicted, tmp_path
):
    expected = drawn(visualizer, monkeypatch, image, predicted)
    monkeypatch.setattr(visualizer, 'add_image', None)
    path = tmp_path / 'new' / 'drawn.png'
    visualizer.add_datasample('a', image, predicted, out_file=str(path))
    np.testing.assert_array_equal(np.asarray(Image.open(path)), expected)


def test_window_shows_the_picture(visualizer, monkeypatch, image, predicted):
    shown = []
    monkeypatch.setattr(
        visualizer, 'show', lambda *args, **options: shown.append(options)
    )
    drawn(visualizer, monkeypatch, image, predicted, show=True, wait_time=3)
    assert shown == [{'win_name': 'sample', 'wait_time': 3}]


def test_drawn_picture_can_be_asked_for(
    visualizer, monkeypatch, image, predicted
):
    """As mmdet's inferencer does."""
    expected = drawn(visualizer, monkeypatch, image, predicted)
    np.testing.assert_array_equal(visualizer.get_image(), expected)


def test_other_processes_write_files_alone(
    visualizer, monkeypatch, image, predicted, tmp_path
):
    monkeypatch.setattr(
        'freeseg_mm.engine.visualizer.is_main_process', lambda: False
    )
    monkeypatch.setattr(visualizer, 'add_image', None)
    visualizer.add_datasample('a', image, predicted)
    path = tmp_path / 'drawn.png'
    visualizer.add_datasample('a', image, predicted, out_file=str(path))
    assert path.is_file()


def test_names_may_come_from_the_dataset(
    visualizer, monkeypatch, image, predicted
):
    expected = drawn(visualizer, monkeypatch, image, predicted)
    vocabulary = predicted.vocabulary
    del predicted.vocabulary
    visualizer.dataset_meta = {'vocabulary': vocabulary.to_dict()}
    found = drawn(visualizer, monkeypatch, image, predicted)
    np.testing.assert_array_equal(found, expected)


def test_names_may_be_mmdets(visualizer, monkeypatch, image, predicted):
    names = predicted.vocabulary.names
    del predicted.vocabulary
    visualizer.dataset_meta = {'classes': names}
    found = drawn(visualizer, monkeypatch, image, predicted, draw_gt=False)
    plain = Vocabulary.from_names(names, unseen=())
    rows = {'prediction': prediction_regions(predicted.to_dict(), len(names))}
    np.testing.assert_array_equal(found, panel(image, rows, plain))


def test_names_are_needed(visualizer, image, predicted):
    del predicted.vocabulary
    visualizer.dataset_meta = None
    with pytest.raises(ValueError, match='names classes; put vocabulary'):
        visualizer.add_datasample('a', image, predicted)


@pytest.fixture
def run_config(tiny_run_config, tmp_path):
    """A run that draws; mmengine keeps visualizers by name."""
    config = tiny_run_config
    config.visualizer.name = tmp_path.name
    config.default_hooks.visualization.draw = True
    return config


def test_test_writes_a_picture_of_each_image(run_config, tmp_path):
    folder = tmp_path / 'shown'
    run_config.default_hooks.visualization.test_out_dir = str(folder)
    runner = Runner.from_cfg(run_config)
    runner.test()
    dataset = runner.test_dataloader.dataset
    images = [
        Path(dataset.get_data_info(index)['img_path'])
        for index in range(len(dataset))
    ]
    assert sorted(p.name for p in folder.iterdir()) == [
        path.name for path in images
    ]
    for path in images:
        # image and legend, truth, prediction; three tasks
        picture = mmcv.imread(folder / path.name)
        assert picture.shape[0] > 3 * 64 * 6
        assert picture.shape[1] > 3 * 64 * 6


def test_tensorboard_gets_pictures_and_scalars(run_config):
    accumulators = pytest.importorskip(
        'tensorboard.backend.event_processing.event_accumulator',
        reason='tensorboard is not installed (requirements/tests.txt)',
    )
    run_config.visualizer.vis_backends = [
        {'type': 'LocalVisBackend'},
        {'type': 'TensorboardVisBackend'},
    ]
    run_config.default_hooks.visualization.interval = 1
    run_config.default_hooks.logger.interval = 1
    run_config.train_cfg.val_interval = 2
    runner = Runner.from_cfg(run_config)
    runner.train()
    runner.visualizer.close()
    folder = Path(runner.log_dir) / 'vis_data'
    events = accumulators.EventAccumulator(
        str(folder), size_guidance={'images': 0, 'scalars': 0}
    )
    events.Reload()
    # two batches of validation after the second iteration
    assert events.Tags()['images'] == ['val_img']
    stored = events.Images('val_img')
    assert [event.step for event in stored] == [2, 3]
    for event in stored:
        local = mmcv.imread(folder / f'vis_image/val_img_{event.step}.png')
        found = mmcv.imfrombytes(event.encoded_image_string)
        np.testing.assert_array_equal(found, local)
    scalars = events.Tags()['scalars']
    assert {'loss', 'lr', 'semantic/mIoU', 'panoptic/PQ'} <= set(scalars)
    lines = (folder / 'scalars.json').read_text().splitlines()
    losses = [json.loads(line).get('loss') for line in lines]
    assert [event.value for event in events.Scalars('loss')] == (
        pytest.approx([loss for loss in losses if loss is not None])
    )
