"""Every block of Python in the docs runs, every config loads and builds."""

import ast
import json
import re
import sys
from copy import deepcopy

import numpy as np
import open_clip
import pytest
import torch
from docs_blocks import BLOCKS, PAGES, REPO, blocks, read_blocks
from inference_fixtures import *  # noqa: F403
from mmengine.config import Config
from PIL import Image
from test_docs_inference import checkout  # noqa: F401

from freeseg_mm.models.prompts import build_prompts
from freeseg_mm.registry import HOOKS, METRICS, MODELS
from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.run_config import check_options

# Where the Python of a page runs, if not here.
# test_docs_inference.py; below, as it needs Ray
RUN_ELSEWHERE = ('inference.md', 'README.md', 'scale.md')
# Why a language needs no test.
NOT_RUN = {
    '': 'what a command prints, or a diagram',
    'bibtex': 'the citation',
}
# What a page adds to a config without naming its base.
USUAL_BASE = 'configs/freeseg/shapes.py'
# A config of the docs is relative to the checkout or to such a folder.
BESIDE = (REPO, REPO / 'configs/ablations', REPO / 'configs/freeseg')


def in_python(condition):
    return [
        block
        for block in blocks('python')
        if block.page not in RUN_ELSEWHERE and condition(block)
    ]


CONFIGS = in_python(lambda block: block.is_config)
MODULES = in_python(lambda block: block.file_name)
SCRIPTS = in_python(lambda block: not block.is_config and not block.file_name)


def test_every_language_has_a_test():
    assert {block.language for block in BLOCKS} <= {
        'bash',
        'json',
        'python',
        *NOT_RUN,
    }
    for path in PAGES:
        fences = re.findall(r'^ *```', path.read_text('utf-8'), re.MULTILINE)
        assert len(fences) == 2 * len(list(read_blocks(path))), path.name


# --- Configs ----------------------------------------------------------------


def existing(path):
    if '::' in path:  # mmengine finds these
        return path
    for folder in BESIDE:
        if (folder / path).is_file():
            return str((folder / path).resolve())
    raise FileNotFoundError(f'{path} in {[str(x) for x in BESIDE]}')


def split_config(text):
    """Bases of a config, with their whole paths, and the rest of it."""
    tree = ast.parse(text)
    paths = [USUAL_BASE]
    for node in list(tree.body):
        if isinstance(node, ast.Assign) and node.targets[0].id == '_base_':
            paths = ast.literal_eval(node.value)
            tree.body.remove(node)
    paths = [paths] if isinstance(paths, str) else paths
    return [existing(path) for path in paths], ast.unparse(tree)


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Make the modules of a page importable; they are forgotten after."""
    monkeypatch.syspath_prepend(tmp_path)
    names = {block.file_name.removesuffix('.py') for block in MODULES}

    def write(page):
        for block in MODULES:
            if block.page == page:
                (tmp_path / block.file_name).write_text(block.text)

    yield write
    for name in names:
        sys.modules.pop(name, None)
    for registry in (MODELS, METRICS):
        for name, part in list(registry.module_dict.items()):
            if part.__module__ in names:
                del registry.module_dict[name]


@pytest.fixture(scope='session')
def loaded():
    return {}


@pytest.fixture
def load(tmp_path, modules, loaded):
    """Load a config of the docs; with it its bases, and what it changes."""

    def file_with(text):
        (tmp_path / 'config.py').write_text(text)
        return Config.fromfile(tmp_path / 'config.py')

    def read(block):
        modules(block.page)
        paths, rest = split_config(block.text)
        bases = f'_base_ = {paths!r}\n'
        if bases not in loaded:
            loaded[bases] = file_with(bases)
        base, whole = loaded[bases], file_with(bases + rest)
        names = {'_base_': base}
        exec(rest, names)
        # the docstring and mmengine's own begin with `_`
        changes = {key: names[key] for key in names if key[0] != '_'}
        return whole, base, changes

    return read


def dotted(changes, prefix=''):
    """Names of the entries that are changed; a part with a type is one."""
    for key, value in changes.items():
        if isinstance(value, dict) and 'type' not in value:
            yield from dotted(value, f'{prefix}{key}.')
        else:
            yield prefix + key


def check_clip(clip):
    """CLIP is made by the demo, a file of ours, or known to open_clip."""
    if clip.model == 'data/shapes_clip/shapes_clip.json':
        return
    if clip.model.endswith('.json'):
        assert (REPO / clip.model).is_file()
    else:
        tags = open_clip.list_pretrained_tags_by_model(clip.model)
        assert clip.pretrained in tags


def test_configs_are_found():
    assert len(CONFIGS) > 10


@pytest.mark.parametrize('block', CONFIGS, ids=str)
def test_config_loads_and_builds(
    block,
    load,
    tiny_config,
    tiny_clip_config,
    tiny_convclip_config,
    make_convolutional,
):
    """On the tiny network, so that no argument is unknown."""
    whole, base, changes = load(block)
    assert set(changes) <= set(whole)
    changes.pop('custom_imports', None)  # no setting of a run
    nested = [name for name in dotted(changes) if '.' in name]
    check_options(base, dict.fromkeys(nested))

    for hook in whole.custom_hooks:
        HOOKS.build(hook)
    usual = tiny_config.model
    tiny = Config({'model': deepcopy(usual)})
    is_one_pass = whole.model.backbone.type == 'freeseg_mm.CLIPBackbone'
    if is_one_pass:
        make_convolutional(tiny.model)
    tiny.merge_from_dict({'model': deepcopy(changes.get('model', {}))})
    check_clip(whole.model.clip)
    tiny.model.clip = deepcopy(tiny_clip_config)
    if is_one_pass:
        tiny.model.clip = deepcopy(tiny_convclip_config)
        tiny.model.panoptic_head.in_channels = [24, 32, 48, 64]
    elif 'Pool' in tiny.model.mask_classifier.type:
        # for a convolutional CLIP, which the tiny one is not
        MODELS.build(tiny.model.mask_classifier)
        config = open_clip.get_model_config(whole.model.clip.model)
        assert 'convnext' in config['vision_cfg']['timm_model_name']
        tiny.model.mask_classifier = usual.mask_classifier
    network = MODELS.build(tiny.model).eval()
    with torch.no_grad():
        maps = network.backbone(torch.zeros(1, 3, 64, 64))
    channels = tuple(tiny.model.panoptic_head.in_channels)
    assert [part.shape[1:] for part in maps] == [
        (width, 64 // stride, 64 // stride)
        for width, stride in zip(channels, (4, 8, 16, 32), strict=True)
    ]


# --- Python -----------------------------------------------------------------


def test_python_runs(checkout, modules):  # noqa: F811
    """The blocks of a page in order, where the demo has run."""
    assert SCRIPTS
    names = {page.name: {} for page in PAGES}
    for block in SCRIPTS:
        modules(block.page)
        exec(compile(block.text, str(block), 'exec'), names[block.page])


@pytest.mark.slow
def test_ray_runs(checkout, monkeypatch):  # noqa: F811
    """The page's own lines, on a small cluster of one node."""
    ray = pytest.importorskip('ray', reason='Ray is not installed')
    pytest.importorskip('ray.data', reason='Ray Data is not installed')
    ray.init(
        num_cpus=2,
        object_store_memory=80 << 20,
        include_dashboard=False,
        log_to_driver=False,
    )
    # two images need no 200 tasks
    context = ray.data.DataContext.get_current()
    monkeypatch.setattr(context, 'read_op_min_num_blocks', 1)
    names = {}
    try:
        for block in blocks('python'):
            if block.page == 'scale.md':
                exec(compile(block.text, str(block), 'exec'), names)
        rows = ray.data.read_parquet('rows').take_all()
    finally:
        ray.shutdown()
    found = {row['image'].rsplit('/')[-1] for row in rows}
    assert found == {'000007.jpg', '000008.jpg'}
    content = json.loads((checkout / 'instances.json').read_text())
    assert len(content['images']) == 2
    objects = [row for row in rows if row['class']]
    assert len(content['annotations']) == len(objects) > 0


def code_named(name):
    (block,) = (block for block in MODULES if block.file_name == name)
    return block


@pytest.fixture
def imported(modules):
    """Run a module of the docs."""

    def run(name):
        block = code_named(name)
        modules(block.page)
        return __import__(name.removesuffix('.py'))

    return run


def test_modules_are_those_tested_below():
    assert {block.file_name for block in MODULES} == {
        'my_parts.py',
        'my_metric.py',
        'my_prompts.py',
    }


def test_own_mask_classifier(imported, tiny_clip_config):
    module = imported('my_parts.py')
    clip = MODELS.build(tiny_clip_config)
    classifier = MODELS.build({'type': 'freeseg_mm.BoxMaskClassifier'})
    assert isinstance(classifier, module.BoxMaskClassifier)
    height, width = clip.image_size
    images = 255 * torch.rand(2, 3, height, width)
    logits = torch.full((2, 3, height // 4, width // 4), -9.0)
    logits[0, 0] = 9  # the whole image
    logits[1, 1, :, :4] = 9  # a part of it
    logits[1, 2, 0, 3] = logits[1, 2, -1, 0] = 9  # the same box

    embeds, valid = classifier(clip, images, logits)

    assert valid.tolist() == [[True, False, False], [False, True, True]]
    assert (embeds[~valid] == 0).all()
    expected = clip.encode_images(clip.normalize(images[:1]))
    torch.testing.assert_close(embeds[0, :1], expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(embeds[1, 1], embeds[1, 2])
    assert not torch.equal(embeds[0, 0], embeds[1, 1])


def test_own_prompts(imported, tiny_clip_config):
    module = imported('my_prompts.py')
    clip = MODELS.build(tiny_clip_config)
    learner = build_prompts({'type': 'freeseg_mm.ShiftedNames'}, clip)
    assert isinstance(learner, module.ShiftedNames)
    words = Vocabulary.from_names(['cat', 'grass'])
    embeds = learner(clip.text, words, tuple(Task))
    assert embeds.shape == (3, 2, clip.embed_dim)
    # before any training: CLIP's own embedding of the bare name
    tokens = open_clip.tokenize(['cat', 'grass'])
    expected = clip.clip.encode_text(tokens, normalize=True)
    torch.testing.assert_close(embeds[0], expected, atol=1e-5, rtol=1e-5)


def test_own_metric(imported, tmp_path):
    imported('my_metric.py')
    metric = METRICS.build({'type': 'freeseg_mm.PixelAccuracy'})
    words = Vocabulary.from_names(['cat', 'grass', 'sky'])
    metric.dataset_meta = {'vocabulary': words.to_dict()}
    gt = np.array([[0, 1, 2, 255]], np.uint8)
    Image.fromarray(gt).save(tmp_path / 'truth.png')
    sample = {
        'img_id': 1,
        'ori_shape': gt.shape,
        'sem_seg_path': str(tmp_path / 'truth.png'),
        'pred_sem_seg': {'sem_seg': torch.tensor([[[0, 1, 0, 0]]])},
    }
    metric.process({}, [sample])
    # two of the three labelled pixels
    assert metric.evaluate(1) == {
        'semantic/accuracy': pytest.approx(100 * 2 / 3)
    }


# --- JSON -------------------------------------------------------------------


@pytest.mark.parametrize('block', blocks('json'), ids=str)
def test_json_is_sound(block, tmp_path):
    content = json.loads(block.text)
    if 'classes' in content:
        (tmp_path / 'words.json').write_text(block.text)
        words = Vocabulary.load(tmp_path / 'words.json')
        assert list(words.names) == content['classes']
        unseen = content.get('unseen', [])
        assert [words.is_seen[words.names.index(n)] for n in unseen] == [
            False
        ] * len(unseen)
        for name, further in content.get('synonyms', {}).items():
            assert {name, *further} <= set(words.prompts)
