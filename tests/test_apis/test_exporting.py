"""Networks that are exported, beside themselves."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from fcclip_case import fcclip_config
from inference_fixtures import *  # noqa: F403
from mmengine.config import Config
from small_sizes import shrink
from test_runtime import blocked

from freeseg_mm import FreeSegInferencer
from freeseg_mm.apis import exporting
from freeseg_mm.apis.inputs import read_image
from freeseg_mm.cli import main
from freeseg_mm.export import Runtime

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

CLASSES = ['cat|kitten', 'dog', 'grass|lawn', 'sky', 'person', 'car']
KINDS = ('shapes', 'shapes_convclip', 'mask2former', 'convnext', 'rn')
LIVELY = {
    'score_thr': 0.02,
    'min_object_prob': 0.0,
    'object_score_thr': 0.0,
    'overlap_thr': 0.1,
    'panoptic_rule': 'score',
}


@pytest.fixture
def build(repo, tmp_path):
    """Build a small network of a config, with lively scores."""

    def make(kind, **model):
        if kind in ('convnext', 'rn'):
            config = fcclip_config(tmp_path / 'clip.pt', kind)
        else:
            name = f'freeseg/{kind}'
            if kind == 'mask2former':
                name = 'zoo/mask2former_r50'
            config = Config.fromfile(repo / f'configs/{name}.py')
            shrink(config.model)
            clip = 'shapes_convclip' if 'convclip' in kind else 'shapes_clip'
            config.model.clip.update(
                model=f'configs/clip/{clip}.json', pretrained='random'
            )
            if kind == 'shapes':
                config.model.panoptic_head.in_channels = [8, 16, 32, 64]
            if kind == 'mask2former':
                config.model.backbone.init_cfg = None
                config.model.backbone.depth = 18
                config.model.backbone.base_channels = 8
                config.model.panoptic_head.in_channels = [8, 16, 32, 64]
        steps = config.test_dataloader.dataset.pipeline
        steps[1].scale = (256, 160)
        config.merge_from_dict({f'model.{k}': v for k, v in model.items()})
        torch.manual_seed(1)
        inferencer = FreeSegInferencer(config, 'random', device='cpu')
        with torch.no_grad():  # else all queries and words are the same
            inferencer.model.clip.clip.token_embedding.weight.mul_(50)
            for name, x in inferencer.model.panoptic_head.named_parameters():
                if x.dim() > 1 and ('query' in name or 'embed' in name):
                    x.mul_(20 if name.startswith('query') else 4)
        inferencer.options = inferencer.options.override(**LIVELY)
        return inferencer

    return make


@pytest.fixture
def photos(samples_dir):
    """Real photographs of several sizes."""
    found = sorted(samples_dir.rglob('*.jpg'))[::60][:4]
    images = [read_image(str(path)) for path in found]
    assert len({image.pixels.shape for image in images}) > 2
    return images


def check(inferencer, runtime, vocabulary, photos):
    objects = 0
    for found in exporting.compare_networks(
        inferencer, runtime, vocabulary, photos
    ):
        objects += found.objects
        assert found.pixels >= 0.999
        assert found.scores <= 1e-3
    assert objects > 3


@pytest.mark.slow
@pytest.mark.parametrize('kind', KINDS)
def test_onnx_predicts_as_pytorch(kind, build, photos, tmp_path):
    inferencer = build(kind)
    vocabulary = inferencer.vocabulary(CLASSES)
    exporting.export_network(inferencer, vocabulary, tmp_path / 'out')
    check(inferencer, Runtime(tmp_path / 'out'), vocabulary, photos)


@pytest.mark.slow
def test_torchscript_with_words_of_the_moment(build, photos, tmp_path):
    """As an input, more and fewer than the traced ones."""
    inferencer = build('shapes_convclip')
    first = inferencer.vocabulary(CLASSES)
    out = tmp_path / 'out'
    for folder, classes in (
        ('out', CLASSES),
        ('few', ['tree', 'road']),
        ('many', [f'thing {number}' for number in range(19)]),
    ):
        exporting.export_network(
            inferencer,
            inferencer.vocabulary(classes),
            tmp_path / folder,
            format='torchscript',
            text_input=True,
            words_only=folder != 'out',
        )
    assert not (tmp_path / 'few/model.pt').exists()
    network = exporting.torchscript_network(out / 'model.pt')
    check(inferencer, Runtime(out, network=network), first, photos[:2])
    for folder, classes in (('few', 2), ('many', 19)):
        runtime = Runtime(out, tmp_path / folder, network=network)
        assert len(runtime.words.names) == classes
        vocabulary = inferencer.vocabulary(list(runtime.words.names))
        (result,) = inferencer(photos[0].pixels, vocabulary)
        same = runtime(photos[0].pixels)['label_map'] == result.label_map
        assert same.mean() > 0.999


@pytest.mark.slow
def test_command(build, photos, tmp_path, capsys, monkeypatch):
    """Other words for an ONNX file, which then runs without PyTorch."""
    inferencer = build('shapes')
    monkeypatch.setattr(
        'freeseg_mm.cli.models.inferencer_of', lambda args: inferencer
    )
    out = tmp_path / 'out'
    status = main(
        [
            *('export', '--classes', ', '.join(CLASSES), '--text-input'),
            *('--out', str(out), '--check', photos[1].source),
        ]
    )
    assert status == 0
    text = capsys.readouterr().out
    assert text.startswith(f'{photos[1].source}: ')
    assert ' % of the pixels, ' in text
    assert ' s, exported ' in text
    words = tmp_path / 'words'
    arguments = ['export', '--classes', 'tree, road', '--words-only']
    assert main([*arguments, '--out', str(words)]) == 0
    np.save(tmp_path / 'photo.npy', photos[0].pixels)
    done = blocked(
        'import numpy as np\n'
        'from freeseg_mm.export import Runtime\n'
        f'runtime = Runtime({str(out)!r}, words={str(words)!r})\n'
        f'arrays = runtime(np.load({str(tmp_path / "photo.npy")!r}))\n'
        'assert "torch" not in __import__("sys").modules\n'
        'np.save('
        f'{str(tmp_path / "labels.npy")!r}, arrays["label_map"])\n'
    )
    assert done.returncode == 0, done.stderr
    (result,) = inferencer(photos[0].pixels, ['tree', 'road'])
    labels = np.load(tmp_path / 'labels.npy')
    assert (labels == result.label_map).mean() > 0.999
    spec = json.loads((out / 'model.json').read_text())
    assert spec['text_inputs'] == ['text', 'clip_text']


@pytest.mark.parametrize(
    ('kind', 'model', 'changes', 'message'),
    [
        (
            'shapes',
            {'mask_classifier.type': 'freeseg_mm.MaskTokenClassifier'},
            {},
            'MaskTokenClassifier cannot be exported: what it computes depend',
        ),
        (
            'shapes',
            {'mask_classifier.full_size': True},
            {},
            'CropMaskClassifier cannot be exported: full_size=True',
        ),
        (
            'shapes_convclip',
            {'mask_classifier.source': 'images'},
            {},
            "images are resized for it; set its source to 'backbone'",
        ),
        ('shapes', {}, {'mode': 'released'}, "mode='released' cannot be exp"),
        ('shapes', {}, {'resized': 'results'}, "resized='results', aligned"),
        ('shapes', {}, {'prompt_tuning': True}, 'prompt tuning needs gradie'),
        (
            'shapes',
            {},
            {'negatives': ['hand'], 'score_thr': {'cat': 0.5}},
            r"leave out \['score_thr', 'negatives'\]",
        ),
        (
            'shapes',
            {'acceleration': {'precision': 'bfloat16'}},
            {},
            'export a network in float32',
        ),
    ],
)
def test_what_has_no_graph_is_refused_at_once(
    kind, model, changes, message, build, tmp_path
):
    inferencer = build(kind, **model)
    inferencer.options = inferencer.options.override(**changes)
    vocabulary = inferencer.vocabulary(CLASSES)
    with pytest.raises((TypeError, ValueError), match=message):
        exporting.export_network(inferencer, vocabulary, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_pipelines_that_do_more_are_refused(build, tmp_path):
    inferencer = build('shapes')
    vocabulary = inferencer.vocabulary(CLASSES)
    inferencer.pipeline.transforms.insert(2, print)
    with pytest.raises(ValueError, match='expected a test pipeline of Load'):
        exporting.export_network(inferencer, vocabulary, tmp_path)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--device', 'cuda'], 'networks are exported on the cpu'),
        (['--words-only', '--check', 'a.png'], '--check needs a network'),
        (['--check', 'no.png'], 'no such file or folder: no.png'),
    ],
)
def test_mistakes_are_one_sentence(arguments, message, capsys):
    status = main(['export', '--classes', 'a', '--out', 'out', *arguments])
    assert status == 1
    assert message in capsys.readouterr().err


def test_comparison_finds_what_differs(tiny_inferencer, noise):
    """A network that is another one is not the same."""
    image = read_image(noise())
    vocabulary = tiny_inferencer.vocabulary(['cat', 'grass'])
    (result,) = tiny_inferencer(image.pixels, vocabulary)
    assert result.instances
    shares = []
    for part in (
        result,
        replace(result, instances=result.instances[1:]),
        replace(result, label_map=1 - result.label_map),
    ):
        (found,) = exporting.compare_networks(
            tiny_inferencer,
            lambda _, part=part: part.to_numpy(),
            vocabulary,
            [image],
        )
        shares.append((found.pixels, found.scores))
    assert shares[0] == (1.0, 0.0)
    assert shares[1][1] > 1e-3
    assert shares[2][0] < 0.5
