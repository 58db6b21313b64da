"""The runner of exported networks, beside what it stands for."""

import json
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from inference_fixtures import *  # noqa: F403
from PIL import Image

from freeseg_mm.export import (
    OPTIONS,
    Runtime,
    Spec,
    Words,
    _resized,
    class_probs,
)
from freeseg_mm.models.heads import FreeSegFusionHead
from freeseg_mm.models.heads.ensemble import ensemble_scores, object_probs
from freeseg_mm.models.layers import max_over_synonyms
from freeseg_mm.models.predict_options import PredictOptions
from freeseg_mm.structures import Task, Vocabulary

VOCABULARY = Vocabulary.from_names(
    ['cat', 'dog', 'grass', 'sky'],
    things=['cat', 'dog'],
    unseen=['dog', 'sky'],
    synonyms={'cat': ['kitten'], 'sky': ['clouds', 'heaven']},
)
PROMPTS = len(VOCABULARY.prompts)
QUERIES = 12


@pytest.fixture
def words():
    return Words(
        names=VOCABULARY.names,
        is_thing=VOCABULARY.is_thing,
        is_seen=VOCABULARY.is_seen,
        prompt_to_class=tuple(VOCABULARY.prompt_to_class),
    )


def spec_of(options, **changes):
    settings = {
        'tasks': tuple(task.value for task in options.tasks),
        'text_inputs': (),
        'scale': (96, 64),
        'keep_ratio': True,
        'backend': 'cv2',
        'mean': (120.0, 110.0, 100.0),
        'std': (60.0, 61.0, 62.0),
        'to_rgb': True,
        'divisor': 32,
        'options': {name: getattr(options, name) for name in OPTIONS},
        'version': '0',
    }
    return Spec(**{**settings, **changes})


def outputs_of(tasks=3, size=(64, 96)):
    """Of a network: blobs that overlap, and scores of all kinds."""
    random = np.random.default_rng(3)
    small = random.normal(-6, 8, (tasks, QUERIES, 4, 6)).astype(np.float32)
    masks = torch.nn.functional.interpolate(
        torch.from_numpy(small), (size[0] // 4, size[1] // 4), mode='bilinear'
    )
    masks[:, 5] = -9  # an empty one
    logits = random.normal(0, 3, (tasks, QUERIES, PROMPTS + 1))
    clip = random.normal(0, 3, (tasks, QUERIES, PROMPTS))
    return {
        'query_logits': logits.astype(np.float32),
        'mask_logits': masks.numpy(),
        'clip_logits': clip.astype(np.float32),
        'is_shown': (masks > 0).flatten(2).any(-1).numpy(),
    }


def probs_by_torch(outputs, options):
    """As ``FreeSeg.predict`` joins scores."""
    query, clip, shown = (
        torch.from_numpy(outputs[name])[None]
        for name in ('query_logits', 'clip_logits', 'is_shown')
    )
    query = torch.cat(
        [
            max_over_synonyms(query[..., :-1], VOCABULARY.prompt_to_class),
            query[..., -1:],
        ],
        -1,
    )
    clip = max_over_synonyms(clip, VOCABULARY.prompt_to_class)
    relevant = FreeSegFusionHead().is_relevant(object_probs(query), options)
    shown = shown & relevant
    is_empty = None
    if options.mode != 'query':
        if options.empty_masks == 'drop':
            relevant = shown
        elif options.empty_masks == 'ones':
            is_empty = ~shown
        else:
            clip = clip.where(shown[..., None], query[..., :-1])
    return relevant[..., None] * ensemble_scores(
        query,
        clip,
        torch.tensor(VOCABULARY.is_seen),
        mode=options.mode,
        seen_weight=options.seen_weight,
        unseen_weight=options.unseen_weight,
        clip_trust=options.clip_trust,
        is_empty=is_empty,
    )


VARIANTS = [
    {},
    {'mode': 'arithmetic', 'clip_trust': 0.4},
    {'mode': 'clip', 'empty_masks': 'query'},
    {'mode': 'query', 'instance_ranking': 'all_classes', 'max_per_image': 9},
    {'empty_masks': 'ones', 'overlap_pixels': 'won', 'clip_trust': 1.0},
    {'panoptic_rule': 'score', 'object_score_thr': 0.2, 'overlap_thr': 0.3},
    {'min_object_prob': 0.7, 'score_thr': 0.25, 'seen_weight': 0.1},
]


@pytest.mark.parametrize('changes', VARIANTS)
def test_scores_and_results_are_those_of_the_package(
    changes, words, tmp_path, noise
):
    options = PredictOptions().override(
        **{'panoptic_rule': 'score', 'overlap_thr': 0.5, **changes}
    )
    outputs = outputs_of()
    expected = probs_by_torch(outputs, options)
    found = class_probs(
        outputs,
        words,
        [task.value for task in options.tasks],
        {name: getattr(options, name) for name in OPTIONS},
    )
    np.testing.assert_allclose(found, expected[0].numpy(), atol=1e-6)

    spec_of(options).save(tmp_path)
    words.save(tmp_path)
    asked = []
    runtime = Runtime(
        tmp_path, network=lambda inputs: asked.append(inputs) or outputs
    )
    image = noise(70, 130)
    arrays = runtime(image, max_side=100)
    # 70 x 130 is 52 x 96 for the network, and 54 x 100 in the results
    assert asked[0]['image'].shape == (1, 3, 64, 96)
    assert asked[0]['image_size'].tolist() == [52, 96]
    meta = {
        'batch_input_shape': (64, 96),
        'img_shape': (52, 96),
        'ori_shape': (54, 100),
    }
    (results,) = FreeSegFusionHead().predict(
        expected,
        torch.from_numpy(outputs['mask_logits'])[None],
        [meta],
        VOCABULARY,
        options,
    )
    rows = np.arange(70) * 54 // 70
    columns = np.arange(130) * 100 // 130

    def enlarged(maps):
        return maps[..., rows[:, None], columns]

    labels = enlarged(results[Task.SEMANTIC].sem_seg[0].numpy())
    assert (arrays['label_map'] == labels).mean() > 0.999
    instances = results[Task.INSTANCE]
    assert len(instances.scores) == len(arrays['mask_scores'])
    np.testing.assert_allclose(
        arrays['mask_scores'], instances.scores.numpy(), atol=1e-5
    )
    assert arrays['mask_labels'].tolist() == instances.labels.tolist()
    same = arrays['masks'] == enlarged(instances.masks.numpy())
    assert same.mean() > 0.999
    panoptic = results[Task.PANOPTIC]
    assert arrays['segment_labels'].tolist() == [
        segment['label'] for segment in panoptic.segments_info
    ]
    ids = enlarged(panoptic.sem_seg[0].numpy())
    for number, segment in enumerate(panoptic.segments_info, 1):
        assert arrays['segment_scores'][number - 1] == pytest.approx(
            segment['score'], abs=1e-5
        )
        same = (arrays['segment_map'] == number) == (ids == segment['id'])
        assert same.mean() > 0.999


def test_there_are_results_to_compare(words, tmp_path, noise):
    """The comparison above is not of nothing."""
    options = PredictOptions().override(panoptic_rule='score', overlap_thr=0.5)
    spec_of(options).save(tmp_path)
    words.save(tmp_path)
    runtime = Runtime(tmp_path, network=lambda _: outputs_of())
    arrays = runtime(noise(70, 130))
    assert len(np.unique(arrays['label_map'])) > 2
    assert len(arrays['mask_scores']) > 5
    assert len(arrays['segment_ids']) > 2
    # thresholds of a call
    fewer = runtime(noise(70, 130), score_thr=0.5, object_score_thr=0.9)
    assert 0 < len(fewer['mask_scores']) < len(arrays['mask_scores'])
    assert len(fewer['segment_ids']) < len(arrays['segment_ids'])


@pytest.mark.parametrize('size', [(512, 683), (480, 640), (90, 47), (64, 64)])
@pytest.mark.parametrize('target', [(800, 1067), (64, 48), (64, 64)])
def test_resizing_is_that_of_opencv_and_pillow(size, target, noise):
    image = noise(*size)
    ours = _resized(image, target, by_pillow=True)
    theirs = Image.fromarray(image).resize(
        target[::-1], Image.Resampling.BILINEAR
    )
    assert (ours == np.asarray(theirs)).all()
    ours = _resized(image, target, by_pillow=False)
    theirs = cv2.resize(image, target[::-1], interpolation=cv2.INTER_LINEAR)
    assert (ours == theirs).mean() > 0.99
    assert np.abs(ours - theirs).max() <= 1


def test_nothing_found(words, tmp_path, noise):
    options = PredictOptions()
    outputs = outputs_of()
    outputs['query_logits'][..., -1] = 9999
    spec_of(options).save(tmp_path)
    words.save(tmp_path)
    arrays = Runtime(tmp_path, network=lambda _: outputs)(noise(70, 130))
    assert (arrays['label_map'] == 255).all()
    assert arrays['masks'].shape == (0, 70, 130)
    assert (arrays['segment_map'] == 0).all()
    assert len(arrays['segment_scores']) == 0


def test_bad_input_is_a_sentence(words, tmp_path, noise):
    with pytest.raises(FileNotFoundError, match='give a folder that `free'):
        Runtime(tmp_path)
    spec = spec_of(PredictOptions())
    spec.save(tmp_path)
    with pytest.raises(FileNotFoundError, match=r'no .*words\.json'):
        Runtime(tmp_path, network=lambda _: {})
    words.save(tmp_path)
    with pytest.raises(FileNotFoundError, match=r'no .*model\.onnx'):
        Runtime(tmp_path)
    with pytest.raises(ValueError, match='its words are part of the network'):
        Runtime(tmp_path, words=tmp_path)
    runtime = Runtime(tmp_path, network=lambda _: outputs_of())
    with pytest.raises(ValueError, match=r'expected an image of \(H, W, 3\)'):
        runtime(noise()[..., 0])
    with pytest.raises(ValueError, match=r'got \(48, 64, 3\) float64'):
        runtime(noise().astype(float))
    with pytest.raises(ValueError, match="expected 'bgr' or 'rgb'"):
        runtime(noise(), channel_order='hsv')
    with pytest.raises(TypeError, match=r"unknown options \['mode'\]"):
        runtime(noise(), mode='clip')
    with pytest.raises(ValueError, match='score_thr: expected a number in'):
        runtime(noise(), score_thr=2)
    (tmp_path / 'words.json').write_text('{"names": []}')
    with pytest.raises(ValueError, match='expected an object with'):
        Runtime(tmp_path, network=lambda _: {})
    (tmp_path / 'words.json').write_text('[')
    with pytest.raises(ValueError, match='is not JSON'):
        Runtime(tmp_path, network=lambda _: {})


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('tasks', 'semantic'),
        ('tasks', []),
        ('tasks', ['semantic', 'semantic']),
        ('text_inputs', ['../../etc/passwd']),
        ('scale', [64]),
        ('scale', [0, 64]),
        ('scale', [64.5, 64]),
        ('scale', [10**9, 64]),
        ('keep_ratio', 'no'),
        ('backend', 'magick'),
        ('mean', [1.0]),
        ('mean', [float('nan'), 0.0, 0.0]),
        ('std', [0.0, 1.0, 1.0]),
        ('divisor', 0),
        ('divisor', '32'),
        ('options', {}),
        ('options.score_thr', float('nan')),
        ('options.mode', 'magic'),
        ('options.max_per_image', -1),
        ('options.max_per_image', True),
        ('options.empty_masks', ['drop']),
    ],
)
def test_settings_that_were_altered(tmp_path, name, value):
    spec_of(PredictOptions()).save(tmp_path)
    path = tmp_path / 'model.json'
    content = json.loads(path.read_text())
    *parents, key = name.split('.')
    (content[parents[0]] if parents else content)[key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r'model\.json: ') as caught:
        Spec.load(tmp_path)
    assert key in str(caught.value)


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('names', 'cat'),
        ('names', ['cat', 'cat', 'dog', 'sky']),
        ('names', ['\x1b[31m', 'cat', 'dog', 'sky']),
        ('is_thing', [True]),
        ('is_seen', ['no'] * 4),
        ('prompt_to_class', [0, 0, 1, 3, 3, 3, 3]),
        ('prompt_to_class', [3, 2, 1, 0, 0, 0, 0]),
        ('prompt_to_class', [0, 0, 1, 2.0, 3, 3, 3]),
        ('prompt_to_class', None),
    ],
)
def test_words_that_were_altered(words, tmp_path, name, value):
    words.save(tmp_path)
    path = tmp_path / 'words.json'
    content = {**json.loads(path.read_text()), name: value}
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r'words\.json: '):
        Words.load(tmp_path)
    path.write_bytes(b'[' * 100_000)
    with pytest.raises(ValueError, match=r'words\.json is not JSON'):
        Words.load(tmp_path)


HEAD = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 9999999, 99), }"


@pytest.mark.parametrize(
    'change',
    [
        b'',
        b'hello, world',
        b'\x93NUMPY\1\0v\0' + HEAD.ljust(117).encode() + b'\n',
        lambda x: np.full_like(x, np.nan),
        lambda x: x.astype(float),
        lambda x: x[:, :-1],
        lambda x: x[0],
    ],
)
def test_embeddings_that_were_altered(words, tmp_path, change):
    embeds = np.ones((3, len(words.prompt_to_class), 8), np.float32)
    replace(words, texts={'text': embeds}).save(tmp_path)
    loaded = Words.load(tmp_path, ['text'])
    np.testing.assert_array_equal(loaded.texts['text'], embeds)
    path = tmp_path / 'text.npy'
    if isinstance(change, bytes):
        path.write_bytes(change)
    else:
        np.save(path, change(embeds))
    with pytest.raises(ValueError, match=r'text\.npy: no array|text is \('):
        Words.load(tmp_path, ['text'])


@pytest.mark.parametrize(
    ('name', 'change'),
    [
        ('mask_logits', lambda x: np.full_like(x, np.nan)),
        ('query_logits', lambda x: x[..., :-1]),
        ('clip_logits', lambda x: x[:2]),
        ('is_shown', None),
    ],
)
def test_a_network_that_was_altered(words, tmp_path, noise, name, change):
    outputs = outputs_of()
    given = outputs.pop(name)
    if change is not None:
        outputs[name] = change(given)
    spec_of(PredictOptions()).save(tmp_path)
    words.save(tmp_path)
    runtime = Runtime(tmp_path, network=lambda _: outputs)
    with pytest.raises(ValueError, match=f'{tmp_path}: .* no {name} of 3'):
        runtime(noise())


@pytest.mark.parametrize('content', [b'', b'no network', b'\xff' * 99])
def test_a_file_that_is_no_network(words, tmp_path, content):
    pytest.importorskip('onnxruntime')
    spec_of(PredictOptions()).save(tmp_path)
    words.save(tmp_path)
    (tmp_path / 'model.onnx').write_bytes(content)
    with pytest.raises(ValueError, match=r'model\.onnx: onnxruntime cannot'):
        Runtime(tmp_path)


@pytest.mark.parametrize('max_side', [0, -5, 0.5, True, '64'])
def test_sides_that_are_none(words, tmp_path, noise, max_side):
    spec_of(PredictOptions()).save(tmp_path)
    words.save(tmp_path)
    runtime = Runtime(tmp_path, network=lambda _: outputs_of())
    with pytest.raises(ValueError, match='max_side: expected at least 1'):
        runtime(noise(), max_side=max_side)
    with pytest.raises(ValueError, match='an image of 9000 x 1 pixels is too'):
        runtime(np.zeros((1, 9000, 3), np.uint8))


BLOCKED = """
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        root = name.split('.')[0]
        if root in ('torch', 'torchvision', 'cv2', 'PIL') or (
            root.startswith('mm') and root != 'mmap'):
            raise ImportError(f'{name} is blocked')
sys.meta_path.insert(0, Block())
"""


def blocked(code):
    """Run code where neither PyTorch nor OpenMMLab can be imported."""
    return subprocess.run(
        [sys.executable, '-c', BLOCKED + code],
        capture_output=True,
        text=True,
        check=False,
    )


def test_needs_neither_torch_nor_openmmlab():
    done = blocked('from freeseg_mm.export import Runtime; print("loaded")')
    assert done.stdout == 'loaded\n', done.stderr
    assert blocked('import torch').returncode == 1
