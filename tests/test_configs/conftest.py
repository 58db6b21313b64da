"""Configs made small, and models of them run once."""

import json
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from small_sizes import SMALL, shrink

from freeseg_mm.datasets.pseudo_labels import PseudoLabelFiles
from freeseg_mm.registry import DATASETS
from freeseg_mm.structures import Task, Vocabulary

SIDE = 64


@pytest.fixture(scope='session')
def small_sizes():
    """Names of the entries that :func:`small_model` changes."""
    return set(SMALL)


@pytest.fixture
def small_model(tiny_clip_config, make_convolutional, shapes_world):
    """The model of a config with its structure, but none of its size."""

    def make(config):
        model = deepcopy(config.model)
        model.clip = deepcopy(tiny_clip_config)
        shrink(model)
        words = Path(model.prompt_learner.get('vocabulary', ''))
        if words.name == 'vocabulary.json':  # comes with the data
            model.prompt_learner.vocabulary = str(shapes_world / words.name)
        if model.backbone.type == 'freeseg_mm.CLIPBackbone':
            make_convolutional(model)
        else:
            # depth 18 is the least a ResNet has, with maps of these channels
            assert 'depth' in model.backbone, 'shrink this backbone too'
            model.backbone.update(depth=18, base_channels=8, init_cfg=None)
            model.panoptic_head.in_channels = [8, 16, 32, 64]
        # untrained queries are sure of nothing
        model.test_cfg.min_object_prob = 0.0
        model.test_cfg.prompt_tuning.update(threshold=1.0, unseen_first=False)
        return model

    return make


@pytest.fixture(scope='session')
def load_run(repo):
    """Read a config by its path under ``configs``, once; yours to change."""
    cache = {}

    def load(name):
        init_default_scope('mmdet')
        if name not in cache:
            cache[name] = Config.fromfile(repo / 'configs' / name)
        return cache[name].copy()

    return load


@pytest.fixture(scope='session')
def build_dataset(shapes_world, tmp_path_factory):
    """Build the data set of a loader's config on one image.

    Its vocabulary has two classes of each kind, seen or not, thing or not;
    where a run takes pseudo labels, each unseen class has one.
    """
    folder = tmp_path_factory.mktemp('one_image')

    def build(loader):
        dataset = deepcopy(loader.dataset)
        made = shapes_world / dataset.vocabulary
        if made.is_file():
            dataset.vocabulary = str(made)
        words = _few(Vocabulary.load(dataset.vocabulary))
        path = folder / f'{words.content_hash}.json'
        names = folder / f'{words.content_hash}_names.json'
        names.write_text(_vocabulary_file(words))
        content = {
            'images': [
                {'id': 1, 'file_name': '1.jpg', 'height': 8, 'width': 8}
            ],
            'annotations': [
                {
                    'image_id': 1,
                    'file_name': '1.png',
                    'segments_info': [
                        {'id': 1 + index, 'category_id': index}
                        for index in range(len(words))
                    ],
                }
            ],
            'categories': [
                {'id': index, 'name': name, 'isthing': 1}
                for index, name in enumerate(words.names)
            ],
        }
        path.write_text(json.dumps(content))
        if dataset.get('pseudo_labels') is not None:
            files = PseudoLabelFiles(folder / words.content_hash)
            files.root.mkdir(exist_ok=True)
            unseen = [
                part
                for part in content['categories']
                if not words.is_seen[part['id']]
            ]
            labels = content | {'info': {}, 'categories': unseen}
            labels['annotations'] = [
                content['annotations'][0]
                | {
                    'segments_info': [
                        {'id': 1 + part['id'], 'category_id': part['id']}
                        for part in unseen
                    ]
                }
            ]
            files.json.write_text(json.dumps(labels))
            dataset.pseudo_labels = str(files.root)
        # serialising collects garbage, for a second among many modules
        dataset.update(
            ann_file=str(path),
            vocabulary=str(names),
            data_root='',
            pipeline=[],
            serialize_data=False,
        )
        return DATASETS.build(dataset)

    return build


def _few(vocabulary):
    kinds = list(zip(vocabulary.is_seen, vocabulary.is_thing, strict=True))
    chosen = {
        index
        for kind in set(kinds)
        for index in [i for i, other in enumerate(kinds) if other == kind][:2]
    }
    return vocabulary.subset(sorted(chosen), vocabulary.name)


def _vocabulary_file(vocabulary):
    names = zip(
        vocabulary.names, vocabulary.is_thing, vocabulary.is_seen, strict=True
    )
    marked = list(names)
    return json.dumps(
        {
            'name': vocabulary.name,
            'classes': vocabulary.names,
            'things': [name for name, is_thing, _ in marked if is_thing],
            'unseen': [name for name, _, is_seen in marked if not is_seen],
        }
    )


@pytest.fixture
def run_once(make_sample):
    """Losses of two random images, and the predictions of one.

    ``train`` and ``test`` are vocabularies; the losses of several tasks
    begin with the task's name.
    """
    labelled = [[1, 2], [3, 3]]
    # most queries lie where nothing is known
    unlabelled = [[1, 2, 0, 0], [3, 0, 0, 0], [0] * 4, [0] * 4]

    def run(model, test, train=None, tasks=(Task.PANOPTIC,), seed=0):
        torch.manual_seed(seed)
        size = (SIDE, SIDE)
        images = list(torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8))
        train = train or test.seen_only()
        things = [i for i, thing in enumerate(train.is_thing) if thing]
        labels = [things[0], things[-1], len(train) - 1]
        preprocess = model.data_preprocessor
        model.train()
        losses = {}
        for task in tasks:
            samples = [
                make_sample(
                    segment_map, labels, vocabulary=train, size=size, task=task
                )
                for segment_map in (labelled, unlabelled)
            ]
            data = {'inputs': images, 'data_samples': samples}
            found = model(**preprocess(data, training=True), mode='loss')
            losses |= {
                f'{task.value}.{key}': value for key, value in found.items()
            }
        model.eval()
        sample = make_sample(vocabulary=test, task=None, size=size)
        data = {'inputs': images[:1], 'data_samples': [sample]}
        fuse, probs = model.panoptic_fusion_head.predict, []

        def listen(class_probs, *arguments, **named):
            probs.append(class_probs)
            return fuse(class_probs, *arguments, **named)

        model.panoptic_fusion_head.predict = listen
        result = model(**preprocess(data), mode='predict')[0]
        model.panoptic_fusion_head.predict = fuse
        result.set_field(probs[0], 'class_probs')
        return losses, result

    return run


def tensors_of(result):
    """All tensors that a prediction holds, by name."""
    found = {'class_probs': result.class_probs}
    for field in ('pred_sem_seg', 'pred_instances', 'pred_panoptic_seg'):
        if field in result:
            found[field] = torch.ones(())
            for key, value in getattr(result, field).items():
                if isinstance(value, torch.Tensor):
                    found[f'{field}.{key}'] = value
    return found


@pytest.fixture(scope='session')
def places_of_difference():
    """Where two outcomes (parameters, losses, prediction) are not equal."""

    def compare(first, second):
        places = ('parameters', 'losses', 'results')
        return {
            place: names
            for place, one, other in zip(
                places,
                (*first[:2], tensors_of(first[2])),
                (*second[:2], tensors_of(second[2])),
                strict=True,
            )
            if (names := _differences(one, other))
        }

    return compare


def _differences(first, second):
    """Names of the tensors that are not the same in both."""
    return {
        name
        for name in first.keys() | second.keys()
        if name not in first
        or name not in second
        or not torch.equal(first[name], second[name])
    }
