"""The same words and image give the same masks, whoever asks."""

import numpy as np
import pytest
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmengine.config import Config

from freeseg_mm.apis import mmseg_config, set_classes
from freeseg_mm.structures import Vocabulary
from freeseg_mm.visualization import class_colours

WORDS = Vocabulary.from_names(
    ['dragon', 'house', 'cat', 'grass'],
    things=['dragon', 'cat'],
    synonyms={'grass': ['lawn', 'turf']},
)


@pytest.fixture
def expected(tiny_inferencer, photo):
    (result,) = tiny_inferencer(photo, classes=WORDS, score_thr=0.0)
    assert len(np.unique(result.label_map)) > 1
    assert len(result.segments) > 2
    assert len(result.instances) > 2
    return result


def assert_same(sample, expected):
    sample = sample.cpu()
    labels = sample.pred_sem_seg.sem_seg[0].numpy()
    np.testing.assert_array_equal(labels, expected.label_map)
    found = sample.pred_instances
    assert found.labels.tolist() == [x.label for x in expected.instances]
    assert found.scores.tolist() == [x.score for x in expected.instances]
    for mask, other in zip(
        found.masks.numpy(), expected.instances, strict=True
    ):
        np.testing.assert_array_equal(mask, other.mask)
    ids = sample.pred_panoptic_seg.sem_seg[0].numpy()
    infos = sample.pred_panoptic_seg.segments_info
    for info, segment in zip(infos, expected.segments, strict=True):
        assert info['label'] == segment.label
        np.testing.assert_array_equal(
            ids == info['id'], expected.segment_map == segment.id
        )


def assert_drawn(picture, expected, *, opacity, image):
    """Away from names and outlines, a class has its colour."""
    colours = class_colours(WORDS.names).astype(float)
    mixed = (1 - opacity) * image + opacity * colours[expected.label_map]
    near = np.abs(picture - mixed).max(axis=2) <= 2
    for label in np.unique(expected.label_map):
        assert near[expected.label_map == label].mean() > 0.3


def assert_coloured(picture, expected):
    """Wherever a class is drawn, there is enough of its hue."""
    pixels = picture.reshape(-1, 3).astype(float)
    chroma = pixels - pixels.mean(axis=1, keepdims=True)
    for label in np.unique(expected.label_map):
        share = (expected.label_map == label).mean()
        colour = class_colours(WORDS.names)[label].astype(float)
        hue = colour - colour.mean()
        length = np.linalg.norm(chroma, axis=1) * np.linalg.norm(hue)
        alike = chroma @ hue > 0.8 * length
        # an image may stand beside its picture, and names on it
        assert alike.mean() > 0.1 * share


def test_mmdet_functions(tiny_weights, photo, expected):
    config, weights = map(str, tiny_weights)
    model = init_detector(config, weights, palette='random', device='cpu')
    set_classes(model, WORDS)
    assert_same(inference_detector(model, str(photo)), expected)


def test_mmdet_functions_with_negatives(tiny_weights, tiny_inferencer, photo):
    config, weights = map(str, tiny_weights)
    words, negatives = WORDS.subset([0, 2], 'part'), ['house', 'grass|lawn']
    (ours,) = tiny_inferencer(
        photo,
        words,
        negatives=Vocabulary.from_names(
            ['house', 'grass'], synonyms={'grass': ['lawn']}
        ),
        score_thr=0.0,
    )
    model = init_detector(config, weights, palette='random', device='cpu')
    set_classes(model, words, negatives=negatives)
    assert_same(inference_detector(model, str(photo)), ours)


def test_mmdet_function_with_arrays(tiny_weights, photo, expected, noise):
    config, weights = map(str, tiny_weights)
    model = init_detector(config, weights, palette='random', device='cpu')
    set_classes(model, WORDS)
    bgr = np.ascontiguousarray(noise()[..., ::-1])
    for sample in inference_detector(model, [bgr, bgr]):
        assert_same(sample, expected)


def test_mmdet_inferencer(tiny_weights, photo, expected, noise, tmp_path):
    config, weights = map(str, tiny_weights)
    inferencer = DetInferencer(
        config, weights, palette='random', device='cpu', show_progress=False
    )
    set_classes(inferencer.model, WORDS)
    out = inferencer(
        str(photo),
        return_datasamples=True,
        return_vis=True,
        pred_score_thr=1.0,
        out_dir=str(tmp_path / 'mmdet'),
    )
    (sample,) = out['predictions']
    assert_same(sample, expected)
    assert (tmp_path / 'mmdet/vis/photo.png').is_file()


def test_mmdet_picture_has_the_colours(tiny_weights, photo, expected, noise):
    config, weights = map(str, tiny_weights)
    config = Config.fromfile(config)
    config.visualizer = {'type': 'DetLocalVisualizer', 'name': 'mmdet'}
    inferencer = DetInferencer(
        config, weights, palette='random', device='cpu', show_progress=False
    )
    set_classes(inferencer.model, WORDS, tasks=['semantic'])
    out = inferencer(str(photo), return_datasamples=True, return_vis=True)
    (picture,) = out['visualization']
    assert min(picture.shape[0] - 48, picture.shape[1] - 64) >= 0
    assert_coloured(picture, expected)


def test_mmseg_functions(tiny_weights, photo, expected, noise, tmp_path):
    mmseg = pytest.importorskip('mmseg.apis')
    config, weights = map(str, tiny_weights)
    model = mmseg.init_model(config, weights, device='cpu')
    set_classes(model, WORDS)
    sample = mmseg.inference_model(model, str(photo))
    assert_same(sample, expected)
    picture = mmseg.show_result_pyplot(
        model,
        str(photo),
        sample,
        opacity=0.5,
        show=False,
        with_labels=False,
        save_dir=str(tmp_path),
        out_file=str(tmp_path / 'drawn.png'),
    )
    assert_drawn(picture, expected, opacity=0.5, image=noise())


def test_mmseg_inferencer(tiny_weights, photo, expected, noise):
    mmseg = pytest.importorskip('mmseg.apis')
    config, weights = map(str, tiny_weights)
    inferencer = mmseg.MMSegInferencer(
        mmseg_config(config), weights, device='cpu'
    )
    inferencer.show_progress = False
    set_classes(inferencer.model, WORDS)
    out = inferencer(
        str(photo), return_vis=True, opacity=0.5, with_labels=False
    )
    np.testing.assert_array_equal(out['predictions'], expected.label_map)
    assert_drawn(out['visualization'], expected, opacity=0.5, image=noise())


def test_mmseg_inferencer_wants_another_config(tiny_weights):
    """It asks for its own visualizer, and for modules in its own scope."""
    mmseg = pytest.importorskip('mmseg.apis')
    config, weights = map(str, tiny_weights)
    with pytest.raises(AssertionError):
        mmseg.MMSegInferencer(config, weights, device='cpu', scope='mmdet')
    config = Config.fromfile(config)
    before = config.pretty_text
    changed = mmseg_config(config)
    assert config.pretty_text == before != changed.pretty_text
    config.visualizer = changed.visualizer
    with pytest.raises(KeyError, match='is not in the mmseg'):
        mmseg.MMSegInferencer(config, weights, device='cpu')
    with pytest.raises(FileNotFoundError, match=r'no\.py'):
        mmseg_config('no.py')


def test_pretrained_is_not_for_us(tiny_model_config, build_tiny_model):
    """mmseg sets it to None; anything else would be lost."""
    tiny_model_config.pretrained = 'resnet.pth'
    with pytest.raises(ValueError, match=r"pretrained='resnet.pth' would"):
        build_tiny_model(tiny_model_config)


def test_words_come_before_those_of_the_checkpoint(build_tiny_model):
    model = build_tiny_model()
    checkpoints = Vocabulary.from_names(['old'])
    model.dataset_meta = {'vocabulary': checkpoints.to_dict(), 'x': 1}
    set_classes(model, WORDS)
    assert model._vocabulary([]) == WORDS
    assert model.dataset_meta['x'] == 1
    assert model.dataset_meta['classes'] == WORDS.names
    with pytest.raises(ValueError, match='very very'):
        set_classes(model, Vocabulary.from_names(['very ' * 99]))
    assert model._vocabulary([]) == WORDS
