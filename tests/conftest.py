"""Fixtures every test may use."""

import functools
import gc
import json
import logging
import os
import random
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from warm_processes import plain_text

from freeseg_mm.structures import FIRST_SEGMENT_ID, Task, Vocabulary

REPO = Path(__file__).resolve().parent.parent

# Several test processes share few cores.
torch.set_num_threads(min(2, torch.get_num_threads()))
# Nor do tests see the models that somebody has fetched.
os.environ['FREESEG_MM_HOME'] = str(REPO / 'no_such_folder')


def pytest_addoption(parser):
    """Let options lengthen tests."""
    parser.addoption(
        '--fuzz',
        type=int,
        metavar='N',
        help='inputs of each door in tests/fuzz (default 300)',
    )
    parser.addoption(
        '--load',
        type=float,
        default=10,
        metavar='SECONDS',
        help='time that 20 users of the web page take (default 10)',
    )
    parser.addoption(
        '--images',
        type=int,
        metavar='N',
        help='images of tests/integration/test_killed_prediction.py (60)',
    )
    parser.addoption(
        '--kills', type=int, metavar='N', help='kills of tests that kill'
    )


def pytest_collection_modifyitems(items):
    """Begin with files of slow tests: at the end one is waited for."""
    slow = {item.path for item in items if item.get_closest_marker('slow')}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope='session')
def repo():
    """The root of the checkout."""
    return REPO


@pytest.fixture(scope='session')
def samples_dir():
    """Folder of small real data sets in their official layouts."""
    path = Path(
        os.environ.get('FREESEG_MM_SAMPLES', REPO.parent / 'shared' / 'data')
    )
    if not path.is_dir():
        pytest.skip(
            f'no sample data in {path}; FREESEG_MM_SAMPLES names the folder'
        )
    return path


@pytest.fixture(autouse=True)
def _seeded():
    """Random numbers do not depend on which tests ran before."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope='module')
def _few_objects():
    """Collections of garbage look at no more than a module's own objects.

    A dataset of mmengine makes one whenever it is built.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope='session')
def _plain_configs():
    """Several times a run mmengine lays out its config, for seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmengine.Config.pretty_text', property(plain_text))
        yield


@pytest.fixture(autouse=True)
def _gpu_mark(request):
    marked = request.node.get_closest_marker('gpu')
    if marked and not torch.cuda.is_available():
        pytest.skip('no CUDA device')


TINY_CLIP = {
    'embed_dim': 16,
    'vision_cfg': {
        'image_size': 32,
        'patch_size': 8,
        'layers': 2,
        'width': 32,
        'head_width': 16,
    },
    'text_cfg': {
        'context_length': 77,
        'vocab_size': 49408,
        'width': 32,
        'heads': 2,
        'layers': 2,
    },
}


TINY_CONVOLUTION = {
    'timm_model_name': 'test_convnext',
    'timm_model_pretrained': False,
    'timm_pool': '',
    'timm_proj': 'linear',
    'image_size': 32,
}


@pytest.fixture(scope='session')
def _one_tokenizer():
    """A tokenizer for all CLIPs: open_clip reads 49,000 merges for each."""
    from open_clip import factory

    with pytest.MonkeyPatch.context() as patch:
        shared = functools.cache(factory.SimpleTokenizer)
        patch.setattr(factory, 'SimpleTokenizer', shared)
        yield


@pytest.fixture(scope='session')
def tiny_clip_config(tmp_path_factory, _one_tokenizer):
    """Config of a FrozenCLIP with seeded random weights in a file.

    ``model`` is the path of an open_clip JSON, ``pretrained`` that of the
    .pt open_clip's own model was saved to. Copy it before changing it.
    """
    return clip_config(tmp_path_factory.mktemp('clip'), 'tiny_clip', TINY_CLIP)


@pytest.fixture(scope='session')
def tiny_convclip_config(tmp_path_factory, _one_tokenizer):
    """The same with a ConvNeXt; its maps have 24 to 64 channels."""
    return clip_config(
        tmp_path_factory.mktemp('convclip'),
        'tiny_convclip',
        {**TINY_CLIP, 'vision_cfg': TINY_CONVOLUTION},
    )


@pytest.fixture(scope='session')
def make_convolutional(tiny_convclip_config):
    """Put the tiny convolutional CLIP into a model's config, in place."""

    def make(model):
        model.clip = deepcopy(tiny_convclip_config)
        model.backbone = type(model)(type='freeseg_mm.CLIPBackbone')
        model.panoptic_head.in_channels = [24, 32, 48, 64]
        model.data_preprocessor.update(
            mean=[122.7709383, 116.7460125, 104.09373615],
            std=[68.5005327, 66.6321579, 70.32316305],
        )
        model.mask_classifier = type(model)(
            type='freeseg_mm.MaskPoolClassifier', source='backbone'
        )
        return model

    return make


def clip_config(folder, name, content):
    """Write a CLIP's files and tell a FrozenCLIP of them."""
    import open_clip
    from mmengine.config import ConfigDict

    model, weights = folder / f'{name}.json', folder / f'{name}.pt'
    model.write_text(json.dumps(content))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        clip = open_clip.CLIP(**deepcopy(content))
        # open_clip's own start makes all names look much alike.
        for name, parameter in clip.named_parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.2)
            elif name.endswith('bias'):
                torch.nn.init.normal_(parameter, std=0.02)
    torch.save(clip.state_dict(), weights)
    return ConfigDict(
        type='freeseg_mm.FrozenCLIP', model=str(model), pretrained=str(weights)
    )


@pytest.fixture
def tiny_config(_tiny_config):
    """The shapes run's whole config, its model shrunk to milliseconds.

    Data sets and schedule stay as they are; images may be 64 x 64. Yours to
    change.
    """
    from mmengine.registry import init_default_scope

    init_default_scope('mmdet')
    return deepcopy(_tiny_config)


@pytest.fixture(scope='session')
def _tiny_config(repo, tiny_clip_config):
    from mmengine.config import Config

    config = Config.fromfile(repo / 'configs/freeseg/shapes.py')
    width, heads = 32, 4
    attention = {'embed_dims': width, 'num_heads': heads}
    ffn = {'embed_dims': width, 'feedforward_channels': 64}
    positions = {'num_feats': width // 2}
    augments = deepcopy(config.model.data_preprocessor.batch_augments)
    for augment in augments:
        if augment['type'] == 'BatchFixedSizePad':
            augment['size'] = (64, 64)
    config.merge_from_dict(
        {
            'model': {
                'data_preprocessor': {'batch_augments': augments},
                'backbone': {'base_channels': 8, 'init_cfg': None},
                'clip': dict(tiny_clip_config),
                'panoptic_head': {
                    'in_channels': [8, 16, 32, 64],
                    'feat_channels': width,
                    'out_channels': width,
                    'num_queries': 6,
                    'context_interaction': {
                        'attention_channels': width,
                        'num_heads': heads,
                    },
                    'classifier': {'hidden_channels': width},
                    'pixel_decoder': {
                        'norm_cfg': {'num_groups': 8},
                        'encoder': {
                            'num_layers': 1,
                            'layer_cfg': {
                                'self_attn_cfg': attention,
                                'ffn_cfg': ffn,
                            },
                        },
                        'positional_encoding': positions,
                    },
                    'transformer_decoder': {
                        'num_layers': 2,
                        'layer_cfg': {
                            'self_attn_cfg': attention,
                            'cross_attn_cfg': attention,
                            'ffn_cfg': ffn,
                        },
                    },
                    'positional_encoding': positions,
                },
                'train_cfg': {'num_points': 64},
                # of random weights few masks go further
                'mask_classifier': {'mask_thr': 0.5},
                # Random weights do not tell objects from anything else.
                'test_cfg': {
                    'min_object_prob': 0.0,
                    # random weights are sure of nothing
                    'panoptic_rule': 'score',
                    'object_score_thr': 0.5,
                },
            }
        }
    )
    return config


@pytest.fixture
def tiny_model_config(tiny_config):
    """Config of a FreeSeg that runs in milliseconds, yours to change."""
    return tiny_config.model


@pytest.fixture
def build_tiny_model(tiny_model_config):
    """Build a FreeSeg, by default the tiny one, with seeded weights."""
    from freeseg_mm.registry import MODELS
    from freeseg_mm.utils.scopes import quiet_logger

    def build(config=tiny_model_config, seed=0):
        with torch.random.fork_rng(), quiet_logger('WARNING'):
            torch.manual_seed(seed)
            model = MODELS.build(config)
            model.init_weights()
        return model

    return build


@pytest.fixture(scope='session')
def tiny_vocabulary():
    """Two things and two stuffs, one unseen each, one with a synonym."""
    return Vocabulary.from_names(
        ['cat', 'zebra', 'grass', 'sky'],
        things=['cat', 'zebra'],
        unseen=['zebra', 'sky'],
        synonyms={'grass': ['lawn']},
        name='tiny',
    )


@pytest.fixture
def make_sample(tiny_vocabulary):
    """Build data samples the way the pipelines and preprocessor do."""
    from mmdet.structures import DetDataSample
    from mmengine.structures import PixelData

    def make(
        segment_map=None,
        labels=(),
        *,
        crowds=(),
        vocabulary=tiny_vocabulary,
        task=Task.PANOPTIC,
        size=(64, 64),
        img_shape=None,
        ori_shape=None,
        img_id=0,
    ):
        """Build one sample.

        Args:
            segment_map: (H, W) integers, enlarged to ``size`` by repeating:
                k > 0 is the k-th segment, 0 is ignored. None for a test
                sample without truth.
            labels: Class index of each segment.
            crowds: Positions in ``labels`` of crowds.
            vocabulary: None leaves it out.
            task: None leaves it out.
            size: Of the network's input, padding included.
            img_shape: Of the image without padding; default ``size``.
            ori_shape: Of the original image; default ``img_shape``.
            img_id: Id of the image.
        """
        img_shape = img_shape or size
        meta = {
            'img_id': img_id,
            'batch_input_shape': size,
            'pad_shape': size,
            'img_shape': img_shape,
            'ori_shape': ori_shape or img_shape,
            'scale_factor': (1.0, 1.0),
        }
        if vocabulary is not None:
            meta['vocabulary'] = vocabulary
        if task is not None:
            meta['task'] = Task(task)
        sample = DetDataSample()
        if segment_map is not None:
            small = torch.as_tensor(segment_map)
            ids = torch.where(small > 0, small + FIRST_SEGMENT_ID - 1, 0)
            for dim in (0, 1):
                ids = ids.repeat_interleave(
                    size[dim] // small.shape[dim], dim=dim
                )
            meta['segments'] = [
                {
                    'id': FIRST_SEGMENT_ID + index,
                    'label': label,
                    'iscrowd': int(index in crowds),
                }
                for index, label in enumerate(labels)
            ]
            sample.gt_sem_seg = PixelData(sem_seg=ids[None].int())
        sample.set_metainfo(meta)
        return sample

    return make


@pytest.fixture
def logged():
    """Collects (level, message) of what the current MMLogger is told.

    Whatever an earlier test's run left as the logger's level.
    """
    from mmengine.logging import MMLogger

    messages = []

    class Collect(logging.Handler):
        def emit(self, record):
            messages.append((record.levelname, record.getMessage()))

    logger = MMLogger.get_current_instance()
    handler = Collect()
    level = logger.level
    logger.setLevel('INFO')
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture(scope='session')
def shapes_world(tmp_path_factory):
    """Folder of 8 train and 4 val scenes of 64 x 64. Copy it to change it."""
    from freeseg_mm.shapes import WorldOptions, generate_shapes

    root = tmp_path_factory.mktemp('shapes')
    options = WorldOptions(train=8, val=4, clip=1, tune=4, size=64)
    generate_shapes(root, options, workers=1)
    return root


@pytest.fixture
def tiny_run_config(tiny_config, shapes_world, tmp_path):
    """Config of a run on the shapes world: two iterations, then a test.

    All in this process, without workers.
    """
    config = tiny_config
    for name in ('train', 'val', 'test'):
        loader = config[f'{name}_dataloader']
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        loader.dataset.data_root = str(shapes_world)
        for transform in loader.dataset.pipeline:
            if transform.type == 'RandomChoiceResize':
                transform.scales = [(512, side) for side in (56, 64, 72, 80)]
            elif transform.type == 'RandomCrop':
                transform.crop_size = (64, 64)
            elif transform.type == 'Resize':
                transform.scale = (512, 64)
    for name in ('val', 'test'):
        for metric in config[f'{name}_evaluator']:
            if 'ann_file' in metric:
                file = Path(metric.ann_file).name
                metric.ann_file = str(shapes_world / 'annotations' / file)
    config.train_cfg.update(max_iters=2, val_interval=1000)
    config.default_hooks.checkpoint.update(interval=1)
    config.work_dir = str(tmp_path / 'work_dir')
    # mmengine keeps loggers and message hubs by name, and names a run after
    # the second it starts in: two runs of one second would share them.
    config.experiment_name = tmp_path.name
    return config


@pytest.fixture
def private_urls(monkeypatch):
    """Let URLs lead to a server of the test."""
    monkeypatch.setenv('FREESEG_MM_PRIVATE_URLS', '1')
