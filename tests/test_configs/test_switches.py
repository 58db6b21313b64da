"""Every switch of the model shows where it should, and nowhere else."""

from copy import deepcopy

import pytest
from mmengine.config import Config

from freeseg_mm.structures import Task


@pytest.fixture
def outcome(build_tiny_model, tiny_model_config, tiny_vocabulary, run_once):
    """Everything a change of the model's config may show in.

    Each key of an entry may be dotted.
    """

    def run(change):
        config = Config({'model': deepcopy(tiny_model_config)})
        # untrained queries are sure of nothing
        config.model.test_cfg.min_object_prob = 0.0
        config.merge_from_dict(
            {f'model.{key}': value for key, value in change.items()}
        )
        model = build_tiny_model(config.model)
        state = {k: v.clone() for k, v in model.state_dict().items()}
        losses, result = run_once(model, tiny_vocabulary)
        return state, losses, result

    return run


FIXED = {'_delete_': True, 'type': 'freeseg_mm.FixedPrompt'}
# Changed settings, and where the change must show: in the parameters, in the
# losses, in the results. A switch without parameters leaves all at the same
# start, so that the others show the switch itself.
SWITCHES = {
    'no interaction': (
        {'panoptic_head.context_interaction': None},
        'parameters losses results',
    ),
    'fixed prompt': ({'prompt_learner': FIXED}, 'parameters losses results'),
    'no task prompt': (
        {'prompt_learner.use_task_prompt': False},
        'parameters losses results',
    ),
    'start first': (
        {'prompt_learner.fusion': 'start_first'},
        'losses results',
    ),
    'joined embeddings': (
        {'prompt_learner.fusion': 'embed'},
        'parameters losses results',
    ),
    'embeddings side by side': (
        {'prompt_learner.fusion': 'concat'},
        'parameters losses results',
    ),
    'vectors around names': (
        {'prompt_learner.placement': 'around'},
        'losses results',
    ),
    'fewer class tokens': (
        {'prompt_learner.num_class_tokens': 4},
        'parameters losses results',
    ),
    'fewer task tokens': (
        {'prompt_learner.num_task_tokens': 2},
        'parameters losses results',
    ),
    'queries alone': (
        {'mask_classifier': None, 'test_cfg.ensemble.mode': 'query'},
        'results',
    ),
    'query scores': ({'test_cfg.ensemble.mode': 'query'}, 'results'),
    'CLIP scores': ({'test_cfg.ensemble.mode': 'clip'}, 'results'),
    'arithmetic': ({'test_cfg.ensemble.mode': 'arithmetic'}, 'results'),
    'seen weight': ({'test_cfg.ensemble.seen_weight': 0.0}, 'results'),
    'unseen weight': ({'test_cfg.ensemble.unseen_weight': 1.0}, 'results'),
    'prompt of CLIP': ({'clip_prompt': FIXED}, 'results'),
    'mask threshold': ({'mask_classifier.mask_thr': 0.7}, 'results'),
    'mask tokens': (
        {
            'mask_classifier': {
                '_delete_': True,
                'type': 'freeseg_mm.MaskTokenClassifier',
            }
        },
        'results',
    ),
    'cross entropy on masks': (
        {
            'panoptic_head.loss_mask': {
                '_delete_': True,
                'type': 'CrossEntropyLoss',
                'use_sigmoid': True,
                'loss_weight': 5.0,
            },
            'panoptic_head.loss_cls.loss_weight': 2.0,
        },
        'losses',
    ),
    'weight of no object': ({'panoptic_head.no_object_weight': 0.9}, 'losses'),
    'loss of what CLIP sees': (
        {'clip_prompt': None, 'train_cfg.clip_loss_weight': 1.0},
        'losses results',
    ),
    'unlabelled queries': ({'train_cfg.ignore_query_overlap': None}, 'losses'),
    'temperature': (
        {'panoptic_head.classifier.temperature': 10.0},
        'losses results',
    ),
    'learned temperature': (
        {'panoptic_head.classifier.learn_temperature': True},
        'parameters',
    ),
    'layer scale': (
        {'panoptic_head.context_interaction.layer_scale': 0.5},
        'parameters losses results',
    ),
    'no residual': (
        {'panoptic_head.context_interaction.residual': False},
        'losses results',
    ),
    'no norms': (
        {'panoptic_head.context_interaction.norms': False},
        'parameters losses results',
    ),
    'residual of normalized pixels': (
        {'panoptic_head.context_interaction.residual': 'normalized'},
        'losses results',
    ),
    'text normalized for each map': (
        {'panoptic_head.context_interaction.cumulative_text_norm': True},
        'losses results',
    ),
    'no-object key': (
        {'panoptic_head.context_interaction.no_object_key': True},
        'losses results',
    ),
    'more decoder layers': (
        {'panoptic_head.transformer_decoder.num_layers': 3},
        'parameters losses results',
    ),
    'deep stem': (
        {'backbone.type': 'mmseg.ResNetV1c', 'backbone.stem_channels': 16},
        'parameters losses results',
    ),
    'no layer scale': (
        {'panoptic_head.context_interaction.layer_scale': None},
        'parameters losses results',
    ),
    'losses on all pixels': ({'train_cfg.all_pixels': True}, 'losses'),
    'unlabelled pixels as negatives': (
        {'train_cfg.unlabelled_is_negative': True},
        'losses',
    ),
    'last but one layer without losses': (
        {'train_cfg.supervise_last_but_one': False},
        'losses',
    ),
    'crops of full-size masks': (
        {'mask_classifier.full_size': True},
        'results',
    ),
    'released scores': ({'test_cfg.ensemble.mode': 'released'}, 'results'),
    'aligned corners': ({'test_cfg.aligned_corners': True}, 'results'),
    'released segments': (
        {'test_cfg.panoptic_rule': 'released'},
        'results',
    ),
    'released instances': (
        {'test_cfg.instance_ranking': 'released'},
        'results',
    ),
    'fewer instances': ({'test_cfg.max_per_image': 2}, 'results'),
    'unlikely objects': ({'test_cfg.min_object_prob': 0.6}, 'results'),
    'panoptic threshold': ({'test_cfg.object_score_thr': 0.0}, 'results'),
    'prompt tuning': (
        {
            'test_cfg.prompt_tuning.steps': 1,
            # untrained queries are sure of nothing
            'test_cfg.prompt_tuning.threshold': 1.0,
            'test_cfg.prompt_tuning.unseen_first': False,
        },
        'results',
    ),
    **{
        f'{task.value} alone': ({'test_cfg.tasks': [task.value]}, 'results')
        for task in Task
    },
}


@pytest.fixture(scope='module')
def made():
    return {}


@pytest.fixture
def unchanged(made, outcome):
    """The outcome of the config as it is, computed once."""
    if not made:
        made['outcome'] = outcome({})
    return made['outcome']


def test_same_config_has_the_same_outcome(
    outcome, unchanged, places_of_difference
):
    assert places_of_difference(unchanged, outcome({})) == {}


@pytest.mark.parametrize('name', SWITCHES)
def test_switch_has_an_effect(name, outcome, unchanged, places_of_difference):
    change, places = SWITCHES[name]
    found = places_of_difference(unchanged, outcome(change))
    assert set(found) == set(places.split()), found


@pytest.mark.parametrize('task', Task)
def test_single_task_answers_nothing_else(task, outcome):
    result = outcome({'test_cfg.tasks': [task.value]})[2]
    fields = {
        Task.SEMANTIC: 'pred_sem_seg',
        Task.INSTANCE: 'pred_instances',
        Task.PANOPTIC: 'pred_panoptic_seg',
    }
    found = {field for field in fields.values() if field in result}
    assert found == {fields[task]}
