import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

import freeseg_mm
from freeseg_mm import FreeSegInferencer
from freeseg_mm.apis import (
    ImageClass,
    ImageError,
    ImageResult,
    InferenceError,
    set_classes,
)
from freeseg_mm.apis.mmlab_interop import mmseg_config
from freeseg_mm.models.clip.text_tower import TextTower
from freeseg_mm.models.predict_options import PredictOptions
from freeseg_mm.models.segmentors import raw_prediction as module
from freeseg_mm.utils.run_lengths import encode_mask

WORDS = ['dragon', 'house', 'cat', 'lawn|turf']


def same(result, other):
    ours, theirs = result.to_numpy(), other.to_numpy()
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        np.testing.assert_array_equal(values, theirs[name], err_msg=name)


def test_the_package_stays_light():
    code = (
        'import sys, freeseg_mm, freeseg_mm.apis, freeseg_mm.apis.vocabulary; '
        "print([n for n in sys.modules if n.startswith(('open_clip', "
        "'mmdet.models', 'freeseg_mm.models', 'freeseg_mm.apis.inf'))])"
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert done.stdout.strip() == '[]', done.stderr
    with pytest.raises(AttributeError, match="'freeseg_mm' has no 'Nothing'"):
        _ = freeseg_mm.Nothing
    with pytest.raises(AttributeError, match="apis' has no 'Nothing'"):
        _ = freeseg_mm.apis.Nothing


def test_answers_of_all_tasks(tiny_inferencer, photo, noise):
    (result,) = tiny_inferencer(photo, WORDS, score_thr=0.0)
    assert isinstance(result, ImageResult)
    assert result.source == str(photo)
    np.testing.assert_array_equal(result.image, noise())
    assert result.vocabulary.names == ('dragon', 'house', 'cat', 'lawn')
    assert result.vocabulary.synonyms[3] == ('turf',)
    assert result.vocabulary.is_thing == (True, False, True, False)
    # training saw cat and grass, which is also called lawn
    assert result.vocabulary.is_seen == (False, False, True, True)
    assert result.label_map.shape == (48, 64)
    assert set(np.unique(result.label_map)) <= {0, 1, 2, 3}
    assert {mask.name for mask in result.instances} <= {'dragon', 'cat'}
    scores = [mask.score for mask in result.instances]
    assert scores == sorted(scores, reverse=True)
    for mask in result.instances:
        left, top, right, bottom = map(int, mask.box)
        rows, columns = np.nonzero(mask.mask)
        assert (left, top) == (columns.min(), rows.min())
        assert (right, bottom) == (columns.max() + 1, rows.max() + 1)
    assert [s.id for s in result.segments] == [
        *range(1, len(result.segments) + 1)
    ]
    for segment in result.segments:
        assert segment.area == result.segment_mask(segment).sum() > 0
        assert segment.is_thing == (segment.name in ('dragon', 'cat'))


def test_a_batch_is_answered_as_its_images_are(tiny_inferencer, noise):
    images = [noise(seed=seed)[..., ::-1] for seed in range(3)]
    together = tiny_inferencer(images, WORDS, batch_size=2, score_thr=0.0)
    for index, (image, result) in enumerate(
        zip(images, together, strict=True)
    ):
        assert result.source == f'array {index}'
        (alone,) = tiny_inferencer(image, WORDS, score_thr=0.0)
        np.testing.assert_array_equal(result.label_map, alone.label_map)


def test_ten_vocabularies_in_ten_calls(tiny_weights, tiny_inferencer, photo):
    lists = [
        [f'word {k} {n}' for n in range(2 + k % 3)] + ['cat']
        for k in range(10)
    ]
    shared = tiny_inferencer
    predictions = [shared(photo, words, score_thr=0.0)[0] for words in lists]
    # as from models that never saw the others' words
    fresh = FreeSegInferencer(*tiny_weights, device='cpu')
    unused = fresh.model
    for words, prediction in zip(lists, predictions, strict=True):
        assert prediction.vocabulary.names == tuple(words)
        fresh.model = deepcopy(unused)
        same(fresh(photo, words, score_thr=0.0)[0], prediction)


def test_a_list_of_words_costs_its_own_text(
    tiny_inferencer, photo, monkeypatch
):
    """Nothing of the other lists is read again, and an old one not at all."""
    read = []
    encode = TextTower.encode

    def counting(tower, embeddings, *rest):
        read.append(len(embeddings))
        return encode(tower, embeddings, *rest)

    monkeypatch.setattr(TextTower, 'encode', counting)

    def names_read(words, **arguments):
        read.clear()
        tiny_inferencer(photo, words, **arguments)
        return list(read)

    first, second = ['pear|nashi', 'plum'], ['plum', 'fig', 'kiwi', 'lime']
    assert set(names_read(first)) == {3}
    assert set(names_read(second)) == {4}
    for words in (first, second):
        assert names_read(words) == []
        assert names_read(words, tasks='semantic') == []
        assert names_read(words, things=[], score_thr=0.0) == []


def test_twenty_threads_get_their_own_words_back(tiny_inferencer, photo):
    lists = [[f'thing {k} {n}' for n in range(1 + k % 5)] for k in range(20)]
    kinds = ['semantic', 'instance', 'panoptic']
    tuning = {'threshold': 1.0, 'unseen_first': False, 'learning_rate': 0.5}

    def ask(number):
        (result,) = tiny_inferencer(
            photo,
            lists[number],
            tasks=kinds[number % 3],
            score_thr=0.0,
            max_per_image=1 + number,
            prompt_tuning=tuning if number % 4 == 0 else None,
        )
        return result

    expected = [ask(number) for number in range(20)]
    with ThreadPoolExecutor(20) as pool:
        for number, result in enumerate(pool.map(ask, range(20))):
            assert result.vocabulary.names == tuple(lists[number])
            same(result, expected[number])


def test_tasks_and_thresholds_are_of_one_call(tiny_inferencer, photo):
    (usual,) = tiny_inferencer(photo, WORDS, score_thr=0.0)
    (one,) = tiny_inferencer(
        photo,
        WORDS,
        tasks='instance',
        score_thr=0.0,
        max_per_image=2,
        mode='clip',
        min_object_prob=0.01,
    )
    assert one.label_map is one.segment_map is one.segments is None
    assert len(one.instances) == 2 < len(usual.instances)
    assert one.instances[0].score != usual.instances[0].score
    (none,) = tiny_inferencer(
        photo,
        WORDS,
        tasks=['panoptic'],
        object_score_thr=1.0,
    )
    assert none.segments == ()
    assert not none.segment_map.any()
    (after,) = tiny_inferencer(photo, WORDS, score_thr=0.0)
    same(after, usual)
    with pytest.raises(ValueError, match="mode 'nonsense' is none of"):
        tiny_inferencer(photo, WORDS, mode='nonsense')
    (after,) = tiny_inferencer(photo, WORDS, score_thr=0.0)
    same(after, usual)


def test_score_thr_drops_masks(tiny_inferencer, photo):
    (usual,) = tiny_inferencer(photo, WORDS, score_thr=0.0)
    least = usual.instances[1].score
    (few,) = tiny_inferencer(photo, WORDS, score_thr=least)
    assert [mask.score for mask in few.instances] == [
        mask.score for mask in usual.instances if mask.score >= least
    ]


def test_one_broken_file_does_not_stop_the_others(
    tiny_inferencer, tmp_path, noise
):
    folder = tmp_path / 'folder'
    folder.mkdir()
    for name in ('a.png', 'c.png'):
        Image.fromarray(noise()).save(folder / name)
    (folder / 'b.png').write_text('not an image')
    predictions = list(tiny_inferencer.stream(folder, WORDS, batch_size=2))
    assert [type(prediction) for prediction in predictions] == [
        ImageResult,
        ImageError,
        ImageResult,
    ]
    assert 'b.png' in predictions[1].reason
    with pytest.raises(
        InferenceError, match='1 of 3 images failed: .*b.png: not an image'
    ) as caught:
        tiny_inferencer(folder, WORDS)
    assert [r.source for r in caught.value.results] == [
        str(folder / 'a.png'),
        str(folder / 'c.png'),
    ]
    assert caught.value.failed[0].source == str(folder / 'b.png')


def test_a_folder_of_unusual_files(tiny_inferencer, tmp_path, noise):
    """Each is answered, or named with what is wrong with it."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    image = Image.fromarray(noise())
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(folder / 'a turned.jpg', exif=exif)
    image.convert('L').save(folder / 'b grey.png')
    deep = np.asarray(image.convert('L')).astype(np.uint16) * 257
    Image.fromarray(deep).save(folder / 'c deep.png')
    other = Image.fromarray(noise(seed=1))
    image.save(folder / 'd.gif', save_all=True, append_images=[other])
    (folder / 'e text.jpg').write_text('hello, world')
    image.convert('RGBA').save(folder / 'f clear.png')
    predictions = list(tiny_inferencer.stream(folder, WORDS, tasks='semantic'))
    *good, failed, last = predictions
    assert [(x.label_map.shape, x.notes) for x in [*good, last]] == [
        ((64, 48), ('turned as its EXIF orientation 6 says',)),
        ((48, 64), ()),
        ((48, 64), ('16 bits brought to 8',)),
        ((48, 64), ('first of 2 frames',)),
        ((48, 64), ()),
    ]
    assert isinstance(failed, ImageError)
    assert 'e text.jpg: not an image that can be read' in failed.reason
    np.testing.assert_array_equal(good[1].label_map, good[2].label_map)
    empty = tmp_path / 'empty'
    empty.mkdir()
    with pytest.raises(ValueError, match='no images in the folder .*empty'):
        tiny_inferencer(empty, WORDS)


def test_images_come_one_after_the_other(tiny_inferencer, noise):
    """The first answer is there before the second image is looked at."""
    images = [noise()[..., ::-1], np.zeros(3, np.uint8)]
    predictions = tiny_inferencer.stream(images, WORDS)
    assert isinstance(next(predictions), ImageResult)
    assert next(predictions).reason.startswith('array 1: expected (H, W)')


@pytest.mark.parametrize('size', [(1, 1), (3, 200), (301, 7)])
def test_odd_sizes(tiny_inferencer, noise, size):
    (result,) = tiny_inferencer(noise(*size)[..., ::-1], WORDS)
    assert result.label_map.shape == size
    assert result.plot().mode == 'RGB'


@pytest.mark.parametrize(
    ('arguments', 'error', 'message'),
    [
        ({'classes': []}, ValueError, 'is empty'),
        ({'classes': ['cat'], 'things': ['dog']}, ValueError, "'dog'"),
        ({'classes': ['cat'], 'tasks': 'boxes'}, ValueError, 'unknown task'),
        ({'classes': ['cat'], 'batch_size': 0}, ValueError, 'batch_size'),
        ({'classes': ['very ' * 99]}, ValueError, 'very very'),
    ],
)
def test_calls_are_checked_before_images(
    tiny_inferencer, photo, arguments, error, message
):
    with pytest.raises(error, match=message):
        tiny_inferencer.stream(photo, **arguments)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'score_thr': 1.5}, r'score_thr: expected a number in \[0, 1\]'),
        ({'overlap_thr': -1}, 'overlap_thr: expected'),
        ({'max_per_image': 0}, 'max_per_image: expected at least 1, .* got 0'),
        ({'max_per_image': 2**63}, 'max_per_image: expected .* below 2'),
    ],
)
def test_thresholds_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        PredictOptions(**arguments)


def test_a_checkpoint_alone_is_enough(tiny_weights, photo, tiny_inferencer):
    alone = FreeSegInferencer(tiny_weights[1], device='cpu')
    (ours,) = alone(photo, WORDS, score_thr=0.0)
    (theirs,) = tiny_inferencer(photo, WORDS, score_thr=0.0)
    same(ours, theirs)


def test_config_objects_and_options(tiny_weights, photo):
    config = Config.fromfile(tiny_weights[0])
    before = json.dumps(config.model.test_cfg.to_dict())
    inferencer = FreeSegInferencer(
        config,
        tiny_weights[1],
        device='cpu',
        cfg_options={'model.test_cfg.tasks': ['semantic']},
    )
    (result,) = inferencer(photo, WORDS)
    assert result.instances is None
    assert json.dumps(config.model.test_cfg.to_dict()) == before
    with pytest.raises(KeyError, match="'modle' is no setting"):
        FreeSegInferencer(config, tiny_weights[1], cfg_options={'modle.x': 1})


def test_random_weights_have_to_be_asked_for(tiny_weights, photo):
    with pytest.raises(ValueError, match='no weights for .*config.py: give'):
        FreeSegInferencer(tiny_weights[0])
    inferencer = FreeSegInferencer(tiny_weights[0], 'random', device='cpu')
    (result,) = inferencer(photo, WORDS)
    assert result.vocabulary.is_seen == (False,) * 4


def test_short_names(tiny_weights, photo, tmp_path, monkeypatch):
    run = tmp_path / 'work_dirs/demo'
    (run / 'train').mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    (run / 'config.py').write_text(tiny_weights[0].read_text())
    (run / 'train/last_checkpoint').write_text(str(tiny_weights[1]))
    inferencer = FreeSegInferencer('demo', device='cpu')
    assert len(inferencer(photo, WORDS)) == 1
    assert {'demo', 'coco', 'shapes'} <= set(FreeSegInferencer.model_names())


@pytest.mark.parametrize(
    ('model', 'checkpoint', 'message'),
    [
        ('no/such.py', None, "no config file 'no/such.py'"),
        ('no/such.pth', None, 'no checkpoint no/such.pth'),
        ('nothing', None, r"no model 'nothing': .*'coco'"),
        ('coco', 'no/such.pth', 'no checkpoint no/such.pth'),
    ],
)
def test_missing_files_are_named(model, checkpoint, message):
    with pytest.raises(FileNotFoundError, match=message):
        FreeSegInferencer(model, checkpoint)


def test_devices_are_checked(tiny_weights):
    with pytest.raises(ValueError, match="no device 'gpu'; give cpu"):
        FreeSegInferencer(*tiny_weights, device='gpu')
    with pytest.raises(ValueError, match="no device 'meta'; give cpu"):
        FreeSegInferencer(*tiny_weights, device='meta')
    with pytest.raises(ValueError, match="no device 'cuda:99': PyTorch sees"):
        FreeSegInferencer(*tiny_weights, device='cuda:99')


@pytest.mark.parametrize(
    ('option', 'value', 'words'),
    [
        ('model', None, 'expected a config with a model, got model=None'),
        ('default_scope', 5, 'default_scope is 5, expected text'),
    ],
)
def test_options_of_a_wrong_type(tiny_weights, option, value, words):
    with pytest.raises(ValueError, match=words):
        FreeSegInferencer(*tiny_weights, cfg_options={option: value})


@pytest.fixture
def changed_weights(tiny_weights, tmp_path):
    """Save the checkpoint after a change to its content."""

    def save(change):
        content = torch.load(tiny_weights[1])
        change(content)
        path = tmp_path / 'changed.pth'
        torch.save(content, path)
        return path

    return save


def test_weights_of_another_model_are_refused(tiny_weights, changed_weights):
    def change(content):
        state = content['state_dict']
        state['left.over'] = torch.zeros(2)
        del state['panoptic_head.query_embed.weight']

    path = changed_weights(change)
    with pytest.raises(
        ValueError,
        match=r'changed.pth does not fit the config: 2 of .* '
        r'left.over \(none wanted, \(2,\) in the file\), '
        r'panoptic_head.query_embed.weight \(\(6, 32\) wanted, none in',
    ):
        FreeSegInferencer(tiny_weights[0], path, device='cpu')


def test_weights_beside_another_clip_are_refused(
    tiny_weights, changed_weights
):
    path = changed_weights(lambda c: c['freeseg_mm'].update(clip='other'))
    with pytest.raises(
        ValueError,
        match=r'changed.pth was trained with CLIP .*\(weights other',
    ):
        FreeSegInferencer(tiny_weights[0], path, device='cpu')


def test_a_checkpoint_without_notes_works(
    tiny_weights, changed_weights, photo
):
    def change(content):
        del content['freeseg_mm'], content['meta']

    path = changed_weights(change)
    inferencer = FreeSegInferencer(tiny_weights[0], path, device='cpu')
    assert inferencer.trained_on is None
    assert inferencer(photo, WORDS)[0].vocabulary.is_seen == (False,) * 4
    with pytest.raises(ValueError, match='does not carry its config'):
        FreeSegInferencer(path)


def test_files_that_are_no_checkpoint(tiny_weights, tmp_path):
    path = tmp_path / 'text.pth'
    path.write_text('hello')
    with pytest.raises(ValueError, match=r'text.pth: not a checkpoint that c'):
        FreeSegInferencer(tiny_weights[0], path)
    torch.save({'a': 1}, path)
    with pytest.raises(ValueError, match=r"text.pth: .* has no 'state_dict'"):
        FreeSegInferencer(tiny_weights[0], path)


def test_other_models_are_refused(tiny_weights):
    config = Config.fromfile(tiny_weights[0])
    config.model = {
        'type': 'mmdet.SingleStageDetector',
        'backbone': {'type': 'ResNet', 'depth': 18},
        'bbox_head': {'type': 'YOLACTProtonet', 'num_classes': 1},
    }
    with pytest.raises(ValueError, match='not a freeseg_mm.FreeSeg'):
        FreeSegInferencer(config, 'random', device='cpu')
    with pytest.raises(TypeError, match='expected a FreeSeg, got Linear'):
        set_classes(torch.nn.Linear(1, 1), None)


def test_a_pipeline_must_begin_with_a_file(tiny_weights):
    config = Config.fromfile(tiny_weights[0])
    del config.test_dataloader.dataset.pipeline[0]
    with pytest.raises(ValueError, match='begins with Resize, expected Load'):
        FreeSegInferencer(config, tiny_weights[1], device='cpu')


def test_a_config_without_a_test_is_refused(tiny_weights):
    config = Config.fromfile(tiny_weights[0])
    config.test_dataloader = None
    with pytest.raises(ValueError, match='found test_dataloader=None'):
        FreeSegInferencer(config, tiny_weights[1], device='cpu')
    with pytest.raises(ValueError, match='found test_dataloader=None'):
        mmseg_config(config)


def test_clip_scores_need_a_mask_classifier(tiny_weights, photo):
    options = {
        'model.mask_classifier': None,
        'model.test_cfg.ensemble.mode': 'query',
    }
    inferencer = FreeSegInferencer(
        *tiny_weights, device='cpu', cfg_options=options
    )
    assert inferencer(photo, WORDS)
    with pytest.raises(
        ValueError, match="mode 'clip' needs a mask_classifier"
    ):
        inferencer(photo, WORDS, mode='clip')


def test_large_answers_are_made_small_and_enlarged(tiny_weights, photo):
    """The photo is 64 x 48: every second pixel, twice."""
    full, half = (
        FreeSegInferencer(*tiny_weights, device='cpu', max_side=side)(
            photo, WORDS, score_thr=0.0
        )[0]
        for side in (None, 32)
    )
    assert full.notes == ()
    assert half.notes == ('predicted at 32 x 24, then enlarged',)
    assert half.label_map.shape == half.segment_map.shape == (48, 64)
    small = half.label_map[::2, ::2]
    np.testing.assert_array_equal(
        half.label_map, small.repeat(2, 0).repeat(2, 1)
    )
    assert (half.label_map == full.label_map).mean() > 0.9
    for mask in half.instances:
        rows, columns = np.nonzero(mask.mask)
        assert mask.box == (
            columns.min(),
            rows.min(),
            columns.max() + 1,
            rows.max() + 1,
        )
    assert sum(segment.area for segment in half.segments) <= 48 * 64
    with pytest.raises(ValueError, match='max_side: expected at least 1'):
        FreeSegInferencer(*tiny_weights, max_side=0)


@pytest.mark.slow
def test_the_photograph_of_a_camera(tiny_inferencer, tmp_path, noise):
    path = tmp_path / 'big.jpg'
    Image.fromarray(noise(3000, 4000)).save(path, quality=80)
    (result,) = tiny_inferencer(path, WORDS)
    assert result.size == (3000, 4000)
    assert result.label_map.shape == result.segment_map.shape == (3000, 4000)
    assert result.notes == ('predicted at 2048 x 1536, then enlarged',)
    assert result.segments
    assert result.plot(max_side=200).height < 600


@pytest.mark.parametrize('batch_size', [1, 4])
def test_one_bad_input_ends_no_stream(
    tiny_inferencer, photo, tmp_path, batch_size
):
    bad_images = Path(__file__).parents[1] / 'data/bad_images'
    (tmp_path / 'a.jpg').write_bytes(b'%!PS-Adobe-3.0 EPSF-3.0\n')
    (tmp_path / 'a.avi').write_bytes(b'#EXTM3U\n/etc/passwd\n')
    (tmp_path / 'b.avif').write_bytes(b'\0\0\0\x1cftypavif' + bytes(50))
    bad = [
        *sorted(map(str, bad_images.iterdir())),
        *(str(tmp_path / name) for name in ('a.jpg', 'a.avi', 'b.avif')),
        np.zeros((1, 1025, 3), np.uint8),
        np.zeros((1025, 1, 3), np.uint8),
        's3://bucket/a.png',
        'http://127.0.0.1:9/a b.png',
        'http://127.0.0.1:9/a.mp4',
        'http://[/a.png',
    ]
    outcomes = list(
        tiny_inferencer.stream(
            [photo, *bad, photo], ['cat'], batch_size=batch_size
        )
    )
    assert len(outcomes) == len(bad) + 2
    for outcome in (outcomes[0], outcomes[-1]):
        assert isinstance(outcome, ImageResult)
    for index, (entry, outcome) in enumerate(
        zip(bad, outcomes[1:-1], strict=True), 1
    ):
        name = entry if isinstance(entry, str) else f'array {index}'
        assert outcome.source == name
        assert name in outcome.reason


# ---- thresholds by class ---------------------------------------------------


def test_thresholds_hold_for_a_call_and_a_class(tiny_inferencer, photo):
    def found(**options):
        (result,) = tiny_inferencer(
            photo, WORDS, **{'score_thr': 0.0, **options}
        )
        return result

    plain = found()
    names = {x.name for x in plain.instances}
    assert names == {'dragon', 'cat'}
    assert plain.void_share['semantic'] == 0.0
    alone = found(score_thr={'dragon': 1.0, '*': 0.0})
    assert {x.name for x in alone.instances} == {'cat'}
    first = plain.vocabulary.names[plain.label_map.flat[0]]
    void = found(pixel_score_thr={first: 1.0})
    changed = void.label_map != plain.label_map
    assert changed.any()
    assert set(void.label_map[changed]) == {255}  # not the runner-up
    assert set(plain.label_map[changed]) == {plain.vocabulary.index(first)}
    assert found(pixel_score_thr=1.0).void_share['panoptic'] == 1.0
    segment = plain.segments[0].name
    left = found(object_score_thr={segment: 1.0}).segments
    assert segment not in {x.name for x in left}
    same(found(), plain)
    with pytest.raises(ValueError, match=r"for \['cow'\].*'dragon', 'house'"):
        tiny_inferencer.stream(photo, WORDS, score_thr={'cow': 0.5})


def test_negatives_compete_and_are_not_reported(tiny_inferencer, photo):
    options = {'score_thr': 0.0, 'object_score_thr': 0.0}
    (whole,) = tiny_inferencer(
        *(photo, ['cat', 'house', 'dragon', 'lawn|turf']),
        things=['cat'],
        **options,
    )
    (part,) = tiny_inferencer(
        *(photo, ['cat', 'house']),
        negatives=['dragon', 'lawn|turf'],
        **options,
    )
    assert part.vocabulary.names == ('cat', 'house')
    expected = np.where(whole.label_map < 2, whole.label_map, 255)
    np.testing.assert_array_equal(part.label_map, expected)
    assert (expected == 255).any()
    assert [(x.name, x.area, x.score) for x in part.segments] == [
        (x.name, x.area, x.score) for x in whole.segments if x.label < 2
    ]
    # a mask that is a dragon first of all is no cat
    assert len(part.instances) < len(whole.instances)
    for call, message in (
        ({'negatives': ['lawn', 'Dragon']}, r"negatives \['Dragon'\] are"),
        ({'negatives': ['a ' * 90]}, 'takes .* tokens, CLIP reads 77'),
    ):
        with pytest.raises(ValueError, match=message):
            tiny_inferencer.stream(photo, ['dragon', 'cat'], **call)


# ---- raw results ----


def test_raw_results_are_what_results_are_made_of(tiny_inferencer, photo):
    (result,) = tiny_inferencer(
        photo, WORDS, raw=True, score_thr=0.0, negatives=['sky']
    )
    assert list(result.raw) == ['semantic', 'instance', 'panoptic']
    tiny = tiny_inferencer.model
    for raw in result.raw.values():
        assert raw.names == (*result.vocabulary.names, 'sky')
        assert raw.mask_probs.shape[1:] == (16, 22)  # stride 4 of 64 x 85
        assert raw.query_probs.shape == (6, 6)
        assert raw.clip_probs.shape == raw.class_probs.shape == (6, 5)
        assert raw.mask_embeds.shape == (6, tiny.clip.embed_dim)
        assert raw.is_shown.all()
        np.testing.assert_allclose(raw.clip_probs.sum(1), 1, rtol=1e-5)
        np.testing.assert_allclose(raw.query_probs.sum(1), 1, rtol=1e-5)
        # geometric: dragon and house are unseen
        weight = np.array([0.3, 0.3, 0.4, 0.4, 0.4])
        objects = raw.query_probs[:, :-1].sum(1, keepdims=True)
        query = raw.query_probs[:, :-1] / objects
        both = query**weight * raw.clip_probs ** (1 - weight)
        both = both / both.sum(1, keepdims=True) * objects
        np.testing.assert_allclose(raw.class_probs, both, rtol=1e-3)
    raw = result.raw['semantic']
    best = raw.pixel_scores.argmax(0)
    np.testing.assert_array_equal(
        np.where(best < 4, best, 255), result.label_map
    )
    assert raw.pixel_probs.sum(0).max() <= 1 + 1e-5
    assert result.raw['panoptic'].pixel_probs is None
    scores = {round(x.score, 4) for x in result.segments}
    assert scores <= {
        round(float(x), 4) for x in result.raw['panoptic'].class_probs.max(1)
    }


def test_nothing_raw_is_computed_unless_asked_for(
    tiny_inferencer, photo, monkeypatch
):
    plain = tiny_inferencer(photo, WORDS)[0]
    query = tiny_inferencer(photo, WORDS, raw=True, mode='query')[0]
    assert plain.raw is None
    assert query.raw['instance'].clip_probs is None
    assert query.raw['instance'].mask_embeds is None
    assert not query.raw['instance'].is_shown.any()

    def refuse(*arguments):
        raise AssertionError

    monkeypatch.setattr(module.ScoredMasks, 'raw', refuse)
    tiny_inferencer(photo, WORDS)
    with pytest.raises(AssertionError):
        tiny_inferencer(photo, WORDS, raw=True)


# ---- masks from elsewhere ----


@pytest.fixture
def quarters():
    """Masks of a 64 x 64 image, edges at multiples of 8."""
    masks = np.zeros((3, 64, 64), bool)
    masks[0, :32, :32] = masks[1, 8:40, 16:64] = masks[2, 32:] = True
    return masks


@pytest.mark.parametrize('task', ['semantic', 'panoptic'])
def test_masks_are_named_as_the_networks_own(
    tiny_inferencer, noise, quarters, monkeypatch, task
):
    """The network's view is that of a network that proposes these masks."""
    image, model = noise(64, 64), tiny_inferencer.model
    found = tiny_inferencer.classify(
        image, quarters, WORDS, task=task, channel_order='rgb'
    )
    propose = model.panoptic_head.propose

    def given(*arguments):
        query_feats, mask_logits = propose(*arguments)
        inside = torch.from_numpy(quarters[:, 2::4, 2::4])
        logits = torch.where(inside, 10.0, -10.0)
        logits = logits.expand_as(mask_logits[-1][:, :, :3])
        return (
            [*query_feats[:-1], query_feats[-1][:, :, :3]],
            [*mask_logits[:-1], logits],
        )

    monkeypatch.setattr(model.panoptic_head, 'propose', given)
    (result,) = tiny_inferencer(
        image, WORDS, raw=True, tasks=task, channel_order='rgb'
    )
    network = result.raw[task].clip_probs
    np.testing.assert_allclose([x.probs for x in found], network, atol=1e-5)
    assert [x.label for x in found] == network.argmax(1).tolist()
    assert {x.name for x in found} <= {'dragon', 'house', 'cat', 'lawn'}
    for mask in found:
        assert mask.score == pytest.approx(mask.probs.max())
        assert mask.probs.sum() == pytest.approx(1)


def test_masks_come_in_many_forms(tiny_inferencer, photo):
    rectangle = np.zeros((48, 64), bool)
    rectangle[10:30, 20:50] = True
    forms = [
        rectangle,
        rectangle.astype(np.uint8),
        encode_mask(rectangle),
        [[20, 10, 50, 10, 50, 30, 20, 30]],
    ]
    found = tiny_inferencer.classify(photo, forms, WORDS)
    assert len(found) == 4
    for mask in found:
        np.testing.assert_allclose(mask.probs, found[0].probs, atol=1e-6)
    again = tiny_inferencer.classify(photo, rectangle[None], WORDS)
    np.testing.assert_array_equal(again[0].probs, found[0].probs)


def test_a_mask_of_one_pixel_does_not_vanish(tiny_inferencer, noise):
    masks = np.zeros((2, 640, 640), bool)
    masks[0, 320, 320] = masks[1, 100:500, 100:500] = True
    small, _ = tiny_inferencer.classify(noise(640, 640), masks, WORDS)
    assert len(set(small.probs.tolist())) > 1


@pytest.mark.parametrize(
    ('masks', 'error', 'message'),
    [
        ([], ValueError, 'at least one mask'),
        ('RLE', TypeError, 'masks as an array'),
        (np.array(1), TypeError, 'masks as an array'),
        (
            [{'counts': [3072], 'size': np.array([48, 64])}],
            ValueError,
            r'mask 0: its mask has size array\(\[48, 64\]\)',
        ),
        ([np.ones((48, 63), bool)], ValueError, r'mask 0 .*\(48, 63\).*64\)'),
        ([np.full((48, 64), 0.4)], TypeError, 'compare probabilities'),
        (np.zeros((2, 48, 64), bool), ValueError, 'mask 0 is empty'),
        (
            [{'counts': [3, 4], 'size': [48, 64]}],
            ValueError,
            'mask 0: its run',
        ),
        ([[[1, 2, 3]]], ValueError, 'mask 0: it is no polygon'),
    ],
)
def test_refuses_masks(tiny_inferencer, photo, masks, error, message):
    with pytest.raises(error, match=message):
        tiny_inferencer.classify(photo, masks, WORDS)


# ---- sentences ----


def test_sentences_reach_a_call(tiny_inferencer, photo):
    for refused in (
        lambda: tiny_inferencer.stream(photo, WORDS, templates='vild14'),
        lambda: tiny_inferencer.classify(
            photo, np.ones((1, 48, 64)), WORDS, templates=['a {}']
        ),
    ):
        with pytest.raises(TypeError, match='has prompts of its own'):
            refused()
    with pytest.raises(ValueError, match=r"one {}, got 'vild' \(sets of"):
        tiny_inferencer.stream(photo, WORDS, templates='vild')


# ---- classes shown by images ----


@pytest.fixture
def halves(noise, tmp_path):
    """Image of two halves, masks of them, a file of the left one."""
    image = np.concatenate([noise(64, 32), noise(64, 32, seed=1)], axis=1)
    masks = np.zeros((2, 64, 64), bool)
    masks[0, :, :32] = masks[1, :, 32:] = True
    path = tmp_path / 'left_half.png'
    Image.fromarray(image[:, :32]).save(path)
    return image, masks, path


def test_a_class_may_be_an_image(tiny_inferencer, halves):
    image, masks, path = halves
    classes = [ImageClass(path), 'dragon', 'house']

    def left_half(classes):
        found = tiny_inferencer.classify(
            image, masks, classes, channel_order='rgb'
        )
        return [mask.probs[0] for mask in found]

    right_half = ImageClass(image[:, 32:], 'right half')
    by_images = tiny_inferencer.classify(
        image, masks, [ImageClass(path), right_half], channel_order='rgb'
    )
    assert [mask.name for mask in by_images] == ['left half', 'right half']
    left, right = left_half(classes)
    several = left_half([ImageClass([path, path], 'left half'), *classes[1:]])
    np.testing.assert_allclose(several, [left, right], rtol=1e-4)
    word = left_half(['left half', 'dragon', 'house'])
    as_word = left_half([ImageClass(path, text_weight=1.0), *classes[1:]])
    np.testing.assert_allclose(as_word, word, rtol=1e-5)
    assert not np.allclose(word, [left, right], rtol=1e-2)


def test_images_take_part_in_all_results(tiny_inferencer, halves):
    image, _, path = halves

    def predict(*classes):
        (result,) = tiny_inferencer(
            image, classes, raw=True, channel_order='rgb', things=[]
        )
        return result

    shown = predict(ImageClass(path, 'my logo|logo'), 'lawn')
    word = predict('my logo|logo', 'lawn')
    assert shown.vocabulary == word.vocabulary
    assert shown.vocabulary.names[0] == 'my logo'
    ours, theirs = shown.raw['semantic'], word.raw['semantic']
    # the queries' view reads the name
    np.testing.assert_array_equal(ours.query_probs, theirs.query_probs)
    assert not np.allclose(ours.clip_probs, theirs.clip_probs)
    assert not np.allclose(ours.pixel_scores, theirs.pixel_scores)
    same(predict('my logo|logo', 'lawn'), word)


def test_refuses_classes_shown_by_images(tiny_inferencer, halves, tmp_path):
    image, _, path = halves
    for make, error, message in (
        (lambda: ImageClass(image), TypeError, 'no path needs a name'),
        (lambda: ImageClass([]), ValueError, 'at least one image'),
        (lambda: ImageClass(path, text_weight=2), ValueError, 'text_weight'),
        (
            lambda: tiny_inferencer(image, [ImageClass('no.png'), 'cat']),
            FileNotFoundError,
            r'no such file: no\.png',
        ),
        (
            lambda: tiny_inferencer(image, [ImageClass(path)], mode='query'),
            ValueError,
            "'left half' is shown by images, which mode query",
        ),
        (
            lambda: tiny_inferencer(image, [ImageClass(path), 'left half']),
            ValueError,
            "more than once: \\['left half'\\]",
        ),
    ):
        with pytest.raises(error, match=message):
            make()
