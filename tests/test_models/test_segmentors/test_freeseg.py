from collections import Counter
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config, ConfigDict
from mmengine.optim import OptimWrapper
from mmengine.runner import load_checkpoint
from torch.testing import assert_close

from freeseg_mm.models.segmentors import freeseg as module
from freeseg_mm.models.segmentors.batch import blank_padding
from freeseg_mm.structures import (
    FIRST_SEGMENT_ID,
    Task,
    Vocabulary,
    task_targets,
)

CAT, ZEBRA, GRASS, SKY = range(4)
SEGMENT_MAP = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 3, 3], [0, 0, 4, 4]]
LABELS = [CAT, CAT, GRASS, GRASS]
TASKS = list(Task)


@pytest.fixture
def model_config(tiny_model_config):
    """The tiny model with milder scores, so that results are not empty."""
    config = tiny_model_config
    config.panoptic_head.classifier.temperature = 5.0
    config.test_cfg.object_score_thr = 0.1
    config.test_cfg.overlap_thr = 0.1
    return config


@pytest.fixture
def model(build_tiny_model, model_config):
    return build_tiny_model(model_config).eval()


@pytest.fixture
def images():
    return torch.randn(2, 3, 64, 64)


@pytest.fixture
def samples(make_sample):
    return [
        make_sample(img_id=1),
        make_sample(img_id=2, img_shape=(48, 40), ori_shape=(33, 25)),
    ]


def train_samples(make_sample, task=Task.PANOPTIC, count=2, **changes):
    arguments = {'segment_map': SEGMENT_MAP, 'labels': LABELS, **changes}
    return [make_sample(task=task, **arguments) for _ in range(count)]


@pytest.fixture
def text_calls(model, monkeypatch):
    """Count the text tower's passes."""
    calls = []
    encode = model.clip.text.encode

    def counted(*arguments):
        calls.append(1)
        return encode(*arguments)

    monkeypatch.setattr(model.clip.text, 'encode', counted)
    return calls


# ---- prediction -------------------------------------------------------------


def test_three_results_at_the_original_sizes(model, images, samples):
    results = model.predict(images, samples)

    assert results[0] is samples[0]
    for sample in results:
        height, width = sample.ori_shape
        semantic = sample.pred_sem_seg.sem_seg
        assert semantic.shape == (1, height, width)
        assert semantic.min() >= 0
        assert semantic.max() < 4
        instances = sample.pred_instances
        assert len(instances) > 0
        assert instances.masks.shape == (len(instances), height, width)
        assert set(instances.labels.tolist()) <= {CAT, ZEBRA}
        assert (instances.scores.diff() <= 0).all()
        panoptic = sample.pred_panoptic_seg
        assert panoptic.sem_seg.shape == (1, height, width)
        ids = {segment['id'] for segment in panoptic.segments_info}
        assert ids
        assert ids == set(panoptic.sem_seg.unique().tolist()) - {4}


def test_results_reach_the_metrics_as_plain_fields(model, images, samples):
    content = model.predict(images, samples)[1].to_dict()

    assert set(content['pred_panoptic_seg']) == {'sem_seg', 'segments_info'}
    segment = content['pred_panoptic_seg']['segments_info'][0]
    assert set(segment) == {'id', 'label', 'score'}
    assert set(content['pred_instances']) == {
        'bboxes',
        'labels',
        'scores',
        'masks',
    }
    assert content['pred_sem_seg']['sem_seg'].dtype == torch.int64


def test_without_rescaling_results_have_the_networks_size(
    model, images, samples
):
    sample = model.predict(images, samples, rescale=False)[1]

    assert sample.pred_sem_seg.sem_seg.shape == (1, 48, 40)
    assert sample.pred_instances.masks.shape[1:] == (48, 40)


def test_only_the_asked_for_tasks_are_answered(model, images, samples):
    model.set_defaults(tasks=['instance'])

    sample = model.predict(images, samples)[0]

    assert 'pred_instances' in sample
    assert 'pred_sem_seg' not in sample
    assert 'pred_panoptic_seg' not in sample


def test_backbone_and_pixel_decoder_run_once_for_three_tasks(
    model, images, samples
):
    calls = Counter()
    head = model.panoptic_head
    for name, part in (
        ('backbone', model.backbone),
        ('pixel decoder', head.pixel_decoder),
        ('interaction', head.context_interaction),
        ('decoder layer', head.transformer_decoder.layers[0]),
        ('mask classifier', model.mask_classifier),
    ):
        part.register_forward_hook(lambda *_, name=name: calls.update([name]))

    model.predict(images, samples)

    assert set(calls.values()) == {1}
    assert len(calls) == 5


def watch_fusion(model, monkeypatch):
    """Keep what goes into the fusion head."""
    seen = []
    predict = model.panoptic_fusion_head.predict

    def record(class_probs, mask_logits, *rest):
        seen.append((class_probs, mask_logits))
        return predict(class_probs, mask_logits, *rest)

    monkeypatch.setattr(model.panoptic_fusion_head, 'predict', record)
    return seen


def test_three_tasks_in_one_call_equal_three_calls(
    model, images, samples, monkeypatch
):
    seen = watch_fusion(model, monkeypatch)
    together = deepcopy(model.predict(images, samples))
    probs, masks = seen.pop()
    assert probs.shape == (2, 3, 6, 4)

    for index, task in enumerate(TASKS):
        options = model.predict_options.override(tasks=task)
        alone = model.predict(images, deepcopy(samples), options=options)
        single_probs, single_masks = seen.pop()
        # another batch size may round otherwise
        assert_close(single_probs[:, 0], probs[:, index], rtol=0, atol=1e-4)
        assert_close(single_masks[:, 0], masks[:, index], rtol=0, atol=1e-3)
        for one, other in zip(together, alone, strict=True):
            if task is Task.INSTANCE:
                assert_close(
                    one.pred_instances.scores,
                    other.pred_instances.scores,
                    rtol=0,
                    atol=1e-3,
                )
            else:
                field = module.RESULT_FIELDS[task]
                same = one.get(field).sem_seg == other.get(field).sem_seg
                assert same.float().mean() > 0.99


def test_tasks_see_different_text(model, images, samples, monkeypatch):
    seen = watch_fusion(model, monkeypatch)

    model.predict(images, samples)

    probs = seen[0][0]
    assert (probs[:, 0] - probs[:, 1]).abs().max() > 1e-4
    assert (probs[:, 1] - probs[:, 2]).abs().max() > 1e-4


def test_any_vocabulary_without_a_new_model(model, images, make_sample):
    for names in (['thing'], [f'thing {i}' for i in range(30)]):
        vocabulary = Vocabulary.from_names(names)
        sample = make_sample(vocabulary=vocabulary)
        (result,) = model.predict(images[:1], [sample])
        assert result.pred_sem_seg.sem_seg.max() < len(names)


def test_synonyms_change_no_class_index(
    model, images, make_sample, monkeypatch
):
    seen = watch_fusion(model, monkeypatch)
    names = ['cat', 'grass', 'sky']
    plain = Vocabulary.from_names(names)
    rich = Vocabulary.from_names(names, synonyms={'cat': ['kitten', 'tom']})

    for vocabulary in (plain, rich):
        model.predict(images[:1], [make_sample(vocabulary=vocabulary)])

    assert seen[0][0].shape == seen[1][0].shape == (1, 3, 6, 3)


# ---- text is encoded once ---------------------------------------------------


def test_second_image_needs_no_text_encoder(
    model, images, samples, text_calls
):
    model.predict(images[:1], samples[:1])
    # three tasks for the network, one for CLIP's own prompt, without task
    assert len(text_calls) == 4

    model.predict(images[1:], samples[1:])
    assert len(text_calls) == 4


@pytest.mark.parametrize('change', ['step', 'train'])
def test_changed_prompts_are_encoded_again(
    model, images, samples, text_calls, change
):
    model.predict(images, samples)
    if change == 'train':
        # swapped behind PyTorch's back, as EMA does
        model.prompt_learner.class_prompt.data.add_(1.0)
        model.train()
        model.eval()
        expected = 4
    else:
        prompt = model.prompt_learner.class_prompt
        prompt.grad = torch.ones_like(prompt)
        torch.optim.SGD([prompt], lr=1.0).step()
        expected = 3  # CLIP's prompts are fixed
    text_calls.clear()

    model.predict(images, samples)

    assert len(text_calls) == expected


def test_training_encodes_with_gradient_whatever_was_cached(
    model, images, samples, make_sample
):
    model.predict(images, samples)

    losses = model.loss(images, train_samples(make_sample))
    sum(losses.values()).backward()

    assert model.prompt_learner.class_prompt.grad.abs().sum() > 0


# ---- CLIP's view ------------------------------------------------------------


def test_clip_scores_by_hand(model, images, tiny_vocabulary, make_sample):
    mask_logits = torch.full((2, 1, 2, 16, 16), -9.0)
    mask_logits[:, :, 0, 4:12, 2:9] = 9.0

    embeds, valid = model.encode_masks(images, mask_logits)
    logits = model.clip_view(
        embeds, valid, tiny_vocabulary, model.predict_options
    )

    assert valid.tolist() == [[[True, False]]] * 2
    assert logits.shape == (2, 3, 2, 4)
    embeds, _ = model.mask_classifier(
        model.clip, model._to_rgb(images), mask_logits[:, 0]
    )
    text = model.clip_prompt(model.clip.text, tiny_vocabulary, TASKS)
    scale = model.clip.clip.logit_scale.exp()
    cosine = torch.einsum('bnd,tpd->btnp', embeds, text)
    assert_close(logits[..., CAT], scale * cosine[..., 0])
    assert_close(logits[..., ZEBRA], scale * cosine[..., 1])
    # grass, lawn
    assert_close(logits[..., GRASS], scale * cosine[..., 2:4].max(-1).values)
    assert_close(logits[..., SKY], scale * cosine[..., 4])


def test_without_prompts_of_its_own_clip_reads_the_learned_ones(
    build_tiny_model, model_config, images, tiny_vocabulary
):
    model_config.clip_prompt = None
    model = build_tiny_model(model_config).eval()
    mask_logits = torch.full((2, 1, 1, 16, 16), 9.0)

    logits = model.clip_view(
        *model.encode_masks(images, mask_logits),
        tiny_vocabulary,
        model.predict_options,
    )

    embeds, _ = model.mask_classifier(
        model.clip, model._to_rgb(images), mask_logits[:, 0]
    )
    text = model.prompt_learner(model.clip.text, tiny_vocabulary, TASKS)
    cosine = torch.einsum('bnd,td->btn', embeds, text[:, CAT])
    assert_close(logits[..., CAT], model.clip.logit_scale * cosine)


def test_empty_masks_have_no_weight(model, images, samples, monkeypatch):
    seen = watch_fusion(model, monkeypatch)
    propose = model.panoptic_head.propose

    def with_an_empty_mask(*arguments):
        queries, masks = propose(*arguments)
        masks[-1][:, :, 2] = -1.0
        return queries, masks

    monkeypatch.setattr(model.panoptic_head, 'propose', with_an_empty_mask)
    model.predict(images, samples)

    probs = seen[0][0]
    assert (probs[:, :, 2] == 0).all()
    assert (probs[:, :, 0] > 0).any()


@pytest.fixture
def crops(model, monkeypatch):
    """Count the images that CLIP encodes."""
    counts = []
    encode = model.clip.encode_images

    def counted(images):
        counts.append(len(images))
        return encode(images)

    monkeypatch.setattr(model.clip, 'encode_images', counted)
    return counts


@pytest.mark.parametrize('min_object_prob', [0.0, 0.5])
def test_masks_that_cannot_matter_are_not_shown_to_clip(
    model, images, samples, monkeypatch, crops, min_object_prob
):
    model.set_defaults(min_object_prob=min_object_prob, object_score_thr=0.6)
    seen = watch_fusion(model, monkeypatch)
    probs = []
    is_relevant = model.panoptic_fusion_head.is_relevant

    def watched(object_probs, options):
        probs.append(object_probs)
        return is_relevant(object_probs, options)

    monkeypatch.setattr(model.panoptic_fusion_head, 'is_relevant', watched)
    few = model.predict(images, deepcopy(samples))
    shown = sum(crops)
    crops.clear()
    # every mask is shown; then those that do not count are dropped
    monkeypatch.setattr(
        model.panoptic_fusion_head,
        'is_relevant',
        lambda object_probs, options: torch.ones_like(object_probs).bool(),
    )
    predict = model.panoptic_fusion_head.predict

    def floored(class_probs, *arguments):
        keep = probs[0] > min_object_prob
        return predict(class_probs * keep[..., None], *arguments)

    monkeypatch.setattr(model.panoptic_fusion_head, 'predict', floored)
    all_ = model.predict(images, deepcopy(samples))

    least = torch.tensor([min_object_prob, min_object_prob, 0.6])
    wanted = probs[0] > least[:, None]
    # equal crops count once
    assert 0 < shown <= wanted.sum() < wanted.numel()
    assert shown < sum(crops) <= wanted.numel()
    assert (seen[0][0][~wanted] == 0).all()
    for one, other in zip(few, all_, strict=True):
        assert torch.equal(
            one.pred_sem_seg.sem_seg, other.pred_sem_seg.sem_seg
        )
        assert torch.equal(
            one.pred_instances.masks, other.pred_instances.masks
        )
        assert_close(one.pred_instances.scores, other.pred_instances.scores)
        assert torch.equal(
            one.pred_panoptic_seg.sem_seg, other.pred_panoptic_seg.sem_seg
        )


def test_mask_of_all_tasks_is_shown_if_it_matters_to_one(
    model, images, tiny_vocabulary, crops
):
    shared = torch.full((2, 1, 2, 16, 16), -9.0)
    shared[:, 0, 0, :8] = shared[:, 0, 1, 8:] = 9.0
    is_relevant = torch.zeros(2, 3, 2, dtype=torch.bool)
    is_relevant[0, 1, 1] = True

    _, valid = model.encode_masks(images, shared, is_relevant)

    assert valid.tolist() == [[[False, True]], [[False, False]]]
    assert crops == [1]


def test_mode_query_leaves_clips_image_tower_alone(
    build_tiny_model, model_config, images, samples
):
    model_config.mask_classifier = None
    model_config.test_cfg.ensemble.mode = 'query'
    model = build_tiny_model(model_config).eval()
    model.clip.encode_images = None

    sample = model.predict(images, samples)[0]

    assert sample.pred_sem_seg.sem_seg.shape == (1, 64, 64)


def test_clip_scores_need_a_mask_classifier(build_tiny_model, model_config):
    model_config.mask_classifier = None

    with pytest.raises(
        ValueError,
        match="mode 'geometric' needs a mask_classifier.*mode to 'query'",
    ):
        build_tiny_model(model_config)


@pytest.mark.parametrize('name', ['train_cfg', 'test_cfg'])
def test_settings_without_effect_are_refused(
    build_tiny_model, model_config, name
):
    model_config[name].object_thr = 0.1
    with pytest.raises(TypeError, match=rf"{name} .*\['object_thr'\].*known"):
        build_tiny_model(model_config)


@pytest.mark.parametrize('bgr_to_rgb', [True, False])
def test_clip_gets_the_image_that_was_read(
    build_tiny_model, model_config, make_sample, bgr_to_rgb
):
    model_config.data_preprocessor.bgr_to_rgb = bgr_to_rgb
    model = build_tiny_model(model_config)
    as_read = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)  # BGR

    batch = model.data_preprocessor(
        {'inputs': [as_read], 'data_samples': [make_sample()]}
    )['inputs']

    assert_close(
        model._to_rgb(batch)[0],
        as_read.flip(0).float(),
        rtol=0,
        atol=1e-3,  # of 255
    )


def test_padding_is_shown_to_nobody(model, images, samples, monkeypatch):
    seen = watch_fusion(model, monkeypatch)
    model.set_defaults(min_object_prob=0.0, object_score_thr=0.0)
    shown = []
    model.mask_classifier.register_forward_pre_hook(
        lambda _, arguments: shown.append(arguments[2].clone())
    )
    propose = model.panoptic_head.propose

    def everywhere(*arguments):
        queries, masks = propose(*arguments)
        return queries, [torch.full_like(layer, 5.0) for layer in masks]

    monkeypatch.setattr(model.panoptic_head, 'propose', everywhere)
    model.predict(images, samples)

    # the second image is 48 x 40 of 64 x 64, 12 x 10 at stride 4
    inside = torch.zeros(2, 16, 16, dtype=torch.bool)
    inside[0], inside[1, :12, :10] = True, True
    for mask in shown[0].unbind(1):
        assert torch.equal(mask > 0, inside)
    # nor does the blank run into the results
    assert (seen[0][1] > 0).all()


def test_masks_reach_the_border_of_a_padded_image(
    model, images, make_sample, monkeypatch
):
    propose = model.panoptic_head.propose

    def everywhere(*arguments):
        queries, masks = propose(*arguments)
        return queries, [torch.full_like(layer, 5.0) for layer in masks]

    monkeypatch.setattr(model.panoptic_head, 'propose', everywhere)
    model.set_defaults(min_object_prob=0.0)
    sample = make_sample(img_shape=(46, 39), ori_shape=(92, 78))

    (prediction,) = model.predict(images[:1], [sample])

    assert len(prediction.pred_instances) > 0
    assert prediction.pred_instances.masks.all()
    assert len(prediction.pred_sem_seg.sem_seg.unique()) == 1


def test_padding_is_blanked_by_hand():
    mask_logits = torch.zeros(2, 1, 1, 4, 4)
    metas = [
        {'batch_input_shape': (16, 16), 'img_shape': (16, 9)},
        {'batch_input_shape': (16, 16), 'img_shape': (8, 16, 3)},
    ]

    blank = blank_padding(mask_logits, metas)[:, 0, 0] < -1000
    # 9 of 16 pixels reach into the third of four cells
    assert blank[0].tolist() == [[False, False, False, True]] * 4
    assert blank[1].tolist() == [[False] * 4] * 2 + [[True] * 4] * 2


# ---- what a batch must agree on ---------------------------------------------


def test_batch_with_two_vocabularies(model, images, make_sample):
    other = Vocabulary.from_names(['dog'], name='dogs')
    samples = [make_sample(), make_sample(vocabulary=other)]

    with pytest.raises(
        ValueError,
        match=r"one vocabulary for all its images, got \['tiny', 'dogs'\]",
    ):
        model.predict(images, samples)


def test_batch_with_one_vocabulary_missing(model, images, make_sample):
    samples = [make_sample(), make_sample(vocabulary=None)]

    with pytest.raises(ValueError, match=r"got \['tiny', None\]"):
        model.predict(images, samples)


@pytest.mark.parametrize('second', [Task.SEMANTIC, None])
def test_batch_with_two_tasks(model, images, make_sample, second):
    samples = [
        *train_samples(make_sample, Task.PANOPTIC, 1),
        *train_samples(make_sample, second, 1),
    ]

    with pytest.raises(
        ValueError, match=r'one task for all its images, got \['
    ):
        model.loss(images, samples)


def test_sample_without_vocabulary_takes_the_checkpoints(
    model, images, make_sample, tiny_vocabulary
):
    with_one = model.predict(images[:1], [make_sample()])
    model.dataset_meta = {'vocabulary': tiny_vocabulary.to_dict()}

    without = model.predict(images[:1], [make_sample(vocabulary=None)])

    assert torch.equal(
        with_one[0].pred_sem_seg.sem_seg, without[0].pred_sem_seg.sem_seg
    )


@pytest.mark.parametrize('meta', [None, {'classes': ('cat',)}])
def test_no_vocabulary_anywhere(model, images, make_sample, meta):
    if meta is not None:
        model.dataset_meta = meta

    with pytest.raises(
        ValueError,
        match='no vocabulary: neither the data samples nor the checkpoint',
    ):
        model.predict(images[:1], [make_sample(vocabulary=None)])


def test_names_too_long_are_refused_before_anything_runs(model):
    name = ' '.join(['cat'] * 50)

    with pytest.raises(ValueError, match=r'takes 82 tokens, CLIP reads 77'):
        model.check_vocabulary(Vocabulary.from_names(['dog', name]))
    model.check_vocabulary(Vocabulary.from_names(['dog', 'cat']))


def test_names_too_long_for_clips_own_prompt_are_refused(
    build_tiny_model, model_config
):
    model_config.clip_prompt = {
        'type': 'freeseg_mm.FixedPrompt',
        'class_template': ' '.join(['photo'] * 60) + ' {}',
    }
    model = build_tiny_model(model_config)

    with pytest.raises(ValueError, match="prompt of 'cat cat cat cat cat "):
        model.check_vocabulary(Vocabulary.from_names([' '.join(['cat'] * 15)]))


def test_unknown_task_in_the_config(build_tiny_model, model_config):
    model_config.test_cfg.tasks = ['semantics']

    with pytest.raises(ValueError, match=r"unknown task \['semantics'\]"):
        build_tiny_model(model_config)


def test_samples_bring_their_options(model, images, samples):
    """As a pipeline would put them: by name, over those of the model."""
    for sample in samples:
        sample.set_metainfo({'predict_options': {'tasks': ['panoptic']}})
    result = model.predict(images, samples)[0]
    assert 'pred_panoptic_seg' in result
    assert 'pred_instances' not in result

    samples[1].set_metainfo({'predict_options': {'tasks': ['semantic']}})
    with pytest.raises(ValueError, match='needs one predict_options'):
        model.predict(images, samples)
    samples[1].set_metainfo({'predict_options': {'taks': ['semantic']}})
    with pytest.raises(TypeError, match=r"unknown keys \['taks'\]"):
        model.predict(images[1:], samples[1:])


@pytest.mark.parametrize('of_clip', [False, True])
def test_sentences_of_a_call(
    build_tiny_model, model_config, images, samples, of_clip
):
    def results(template, templates=None):
        prompts = {'type': 'freeseg_mm.FixedPrompt'}
        model_config.prompt_learner = ConfigDict(
            **prompts, class_template=template
        )
        model_config.clip_prompt = None
        if of_clip:
            model_config.clip_prompt = ConfigDict(
                **prompts, class_template=template
            )
        model = build_tiny_model(model_config).eval()
        before = model.predict_options
        options = before.override(templates=templates, raw=True)
        model.predict(images, samples, options=options)
        assert model.predict_options is before
        return samples[0].raw['panoptic']

    theirs, changed = results('{}'), results('no {}', '{}')
    for name in ('query_probs', 'clip_probs', 'class_probs'):
        assert_close(getattr(changed, name), getattr(theirs, name))
    other = results('{}', ['no {}', 'a {}'])
    assert (other.clip_probs != theirs.clip_probs).any()
    assert (other.query_probs != theirs.query_probs).any()


def test_negatives_of_the_model_reach_functions_that_know_none(
    model, images, samples, tiny_vocabulary
):
    part = tiny_vocabulary.subset([1], 'zebra')
    with pytest.raises(ValueError, match=r"negatives \['zebra'\] are classes"):
        model.set_defaults(part, negatives=['cat', 'zebra'])
    model.set_defaults(part, negatives=['cat', 'grass'], tasks='semantic')
    for sample in samples:
        del sample.vocabulary
    found = model.predict(images, samples)[0].pred_sem_seg.sem_seg
    assert set(found.unique().tolist()) <= {0, 255}
    assert (found == 255).any()


def test_sentences_need_prompts_that_are_sentences(model, tiny_vocabulary):
    options = model.predict_options.override(templates='vild14')
    with pytest.raises(
        TypeError, match='AdaptivePromptLearner has prompts of its own'
    ):
        model.check_options(options)


# ---- training ---------------------------------------------------------------


@pytest.mark.parametrize('task', TASKS)
def test_every_parameter_learns_and_clip_does_not(
    model, images, make_sample, task
):
    model.train()

    losses = model.loss(images, train_samples(make_sample, task))
    sum(losses.values()).backward()

    assert len(losses) == 9
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    for prompt in (
        model.prompt_learner.class_prompt,
        model.prompt_learner.task_prompt,
    ):
        assert (prompt.grad.abs().sum(-1) > 0).all()
    for parameter in model.clip.clip.parameters():
        assert not parameter.requires_grad
        assert parameter.grad is None


def loss_values(model, images, samples):
    torch.manual_seed(3)
    with torch.no_grad():
        return torch.stack(list(model.loss(images, samples).values()))


@pytest.mark.parametrize('task', TASKS)
def test_no_unseen_label_or_pixel_reaches_a_loss(
    build_tiny_model, model_config, images, make_sample, task
):
    """What lies under an ignored region changes no bit of any loss."""
    model_config.clip_prompt = None
    model_config.train_cfg.clip_loss_weight = 1.0
    model = build_tiny_model(model_config).train()
    plain = train_samples(make_sample, task)
    expected = loss_values(model, images, plain)

    def changed(id_of_void=None, **arguments):
        samples = train_samples(make_sample, task, **arguments)
        if id_of_void is not None:
            for sample in samples:
                ids = sample.gt_sem_seg.sem_seg
                ids[ids == 0] = id_of_void
        return loss_values(model, images, samples)

    # a segment nobody lists (an unseen class), padding of another transform
    assert torch.equal(changed(FIRST_SEGMENT_ID + 77), expected)
    assert torch.equal(changed(255), expected)
    # a crowd there, of one class or another
    filled = [[cell or 5 for cell in row] for row in SEGMENT_MAP]
    for label in (CAT, SKY):
        assert torch.equal(
            changed(segment_map=filled, labels=[*LABELS, label], crowds=[4]),
            expected,
        )
    # a seen thing there does make a difference
    assert not torch.equal(
        changed(segment_map=filled, labels=[*LABELS, CAT]), expected
    )
    # and so does the class of a seen thing
    assert not torch.equal(changed(labels=[ZEBRA, *LABELS[1:]]), expected)


def test_tasks_train_different_masks(model, images, make_sample):
    values = [
        loss_values(model, images, train_samples(make_sample, task))
        for task in TASKS
    ]

    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert not torch.allclose(values[one], values[other], rtol=1e-2)


def test_a_step_against_all_negatives_is_the_ordinary_step(
    build_tiny_model, model_config, images, make_sample
):
    losses = []
    for number in (None, 2):  # two of four classes occur
        model_config.train_cfg.num_negative_classes = number
        model = build_tiny_model(model_config)
        torch.manual_seed(1)
        if number is None:
            torch.randperm(2)  # what the draw takes from the generator
        losses.append(model.loss(images, train_samples(make_sample)))

    assert losses[0].keys() == losses[1].keys()
    for key, value in losses[0].items():
        assert_close(losses[1][key], value)


def test_a_step_against_few_negatives_reads_fewer_names(
    build_tiny_model, model_config, images, make_sample, monkeypatch
):
    model_config.train_cfg.num_negative_classes = 1
    model = build_tiny_model(model_config)
    names, targets = [], []
    encode, loss = model.prompt_learner.forward, model.panoptic_head.loss

    def encoded(text_tower, vocabulary, tasks):
        names.append(vocabulary.names)
        return encode(text_tower, vocabulary, tasks)

    def judged(feats, text, vocabulary, batch_targets):
        targets.extend(batch_targets)
        return loss(feats, text, vocabulary, batch_targets)

    monkeypatch.setattr(model.prompt_learner, 'forward', encoded)
    monkeypatch.setattr(model.panoptic_head, 'loss', judged)
    losses = model.loss(images, train_samples(make_sample))

    (read,) = names
    assert len(read) == 3
    for target in targets:
        assert {read[i] for i in target.labels.tolist()} == {'cat', 'grass'}
    assert all(value.isfinite() for value in losses.values())


def test_no_negatives_are_refused_when_built(build_tiny_model, model_config):
    model_config.train_cfg.num_negative_classes = 0
    with pytest.raises(ValueError, match='num_negative_classes >= 1'):
        build_tiny_model(model_config)


@pytest.mark.parametrize('task', TASKS)
def test_clip_loss_is_the_cross_entropy_of_each_mask(
    build_tiny_model, model_config, images, make_sample, task
):
    model_config.clip_prompt = None
    model_config.train_cfg.clip_loss_weight = 0.5
    model = build_tiny_model(model_config)
    # the second image has fewer masks than the first
    samples = [
        *train_samples(make_sample, task, count=1),
        *train_samples(make_sample, task, count=1, labels=LABELS[:1]),
    ]
    losses = model.loss(images, samples)

    vocabulary = samples[0].vocabulary
    options = model.predict_options.override(tasks=[task])
    expected = []
    for image, sample in zip(images, samples, strict=True):
        found = task_targets(
            sample.gt_sem_seg.sem_seg[0], sample.segments, vocabulary, task
        )
        for mask, label in zip(found.masks, found.labels, strict=True):
            mask_logits = torch.where(mask, 8.0, -8.0)[None, None, None]
            embeds, is_shown = model.encode_masks(image[None], mask_logits)
            assert is_shown.all()
            logits = model.clip_view(embeds, is_shown, vocabulary, options)
            expected.append(
                F.cross_entropy(logits.flatten()[None], label[None])
            )
    assert_close(losses['loss_clip'], torch.stack(expected).mean() / 2)

    losses['loss_clip'].backward()
    moved = {n for n, p in model.named_parameters() if p.grad is not None}
    assert moved
    assert all(name.startswith('prompt_learner.') for name in moved)


def test_clip_loss_is_float32_under_autocast(
    build_tiny_model, model_config, images, make_sample
):
    model_config.clip_prompt = None
    model_config.train_cfg.clip_loss_weight = 1.0
    model = build_tiny_model(model_config)
    samples = train_samples(make_sample)
    expected = model.loss(images, samples)['loss_clip']

    with torch.autocast('cpu', torch.bfloat16):
        loss = model.loss(images, samples)['loss_clip']
    loss.backward()

    assert loss.dtype == torch.float32
    assert_close(loss, expected, rtol=0.05, atol=0)
    for parameter in model.prompt_learner.parameters():
        assert parameter.grad.isfinite().all()


def test_clip_loss_without_a_mask_is_zero(
    build_tiny_model, model_config, images, make_sample
):
    model_config.clip_prompt = None
    model_config.train_cfg.clip_loss_weight = 1.0
    model = build_tiny_model(model_config)

    losses = model.loss(images, train_samples(make_sample, labels=[]))

    assert losses['loss_clip'] == 0
    sum(losses.values()).backward()
    for parameter in model.prompt_learner.parameters():
        assert parameter.grad.isfinite().all()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'train_cfg.clip_loss_weight': -1}, 'expected a number from 0, got'),
        ({'train_cfg.clip_loss_weight': '1'}, 'expected a number from 0, got'),
        ({'clip_prompt': {'type': 'freeseg_mm.FixedPrompt'}}, 'clip_prompt'),
        ({'prompt_learner.frozen': True}, 'Learner learns nothing here'),
        (
            {
                'mask_classifier': None,
                'test_cfg.ensemble.mode': 'query',
            },
            'needs a mask_classifier',
        ),
    ],
)
def test_clip_losses_without_sense(
    build_tiny_model, model_config, change, message
):
    config = Config({'model': model_config})
    config.merge_from_dict(
        {
            f'model.{key}': value
            for key, value in {
                'clip_prompt': None,
                'train_cfg.clip_loss_weight': 1.0,
                **change,
            }.items()
        }
    )
    with pytest.raises(ValueError, match=message):
        build_tiny_model(config.model)


def test_image_without_a_label_trains_without_harm(model, images, make_sample):
    model.train()
    samples = [
        *train_samples(make_sample, count=1),
        *train_samples(make_sample, count=1, labels=[]),
    ]

    losses = model.loss(images, samples)
    sum(losses.values()).backward()

    assert all(loss.isfinite() for loss in losses.values())
    assert all(p.grad is not None for p in model.parameters())


def test_a_few_steps_bring_the_loss_down(model, make_sample):
    generator = torch.Generator().manual_seed(0)
    picture = torch.randint(
        0, 256, (3, 64, 64), dtype=torch.uint8, generator=generator
    )
    optimizer = OptimWrapper(
        torch.optim.AdamW(model.parameters(), lr=1e-3),
        clip_grad={'max_norm': 1.0},
    )
    model.train()

    totals = []
    for _ in range(12):
        data = {
            'inputs': [picture],
            'data_samples': train_samples(make_sample, count=1),
        }
        totals.append(model.train_step(data, optimizer)['loss'].item())

    assert sum(totals[-3:]) < 0.9 * sum(totals[:3]), totals


def test_bfloat16_autocast_is_finite(model, images, samples, make_sample):
    with torch.autocast('cpu', torch.bfloat16):
        losses = model.loss(images, train_samples(make_sample))
        total = sum(losses.values())
    total.backward()

    assert total.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters())

    with torch.autocast('cpu', torch.bfloat16):
        result = model.predict(images, samples)[0]
    assert result.pred_sem_seg.sem_seg.shape == (1, 64, 64)
    assert result.pred_instances.scores.isfinite().all()


# ---- checkpoints ------------------------------------------------------------


def test_checkpoint_holds_no_clip(model):
    keys = model.state_dict()

    prefixes = {key.split('.')[0] for key in keys}
    assert prefixes == {'backbone', 'panoptic_head', 'prompt_learner'}
    learned = {name for name, _ in model.named_parameters()}
    norms = ('running_mean', 'running_var', 'num_batches_tracked')
    assert {key for key in keys if not key.endswith(norms)} == learned


def test_saved_weights_give_the_same_results(
    model, build_tiny_model, model_config, images, samples, tmp_path
):
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'ours.pth')
    other = build_tiny_model(model_config, seed=1).eval()
    load_checkpoint(other, str(tmp_path / 'ours.pth'), strict=True)

    one = model.predict(images, deepcopy(samples))[0]
    two = other.predict(images, deepcopy(samples))[0]

    assert torch.equal(one.pred_sem_seg.sem_seg, two.pred_sem_seg.sem_seg)
    assert_close(one.pred_instances.scores, two.pred_instances.scores)


def test_stock_mask2former_checkpoint_fills_everything_it_has(
    model, model_config, tmp_path, caplog
):
    from mmdet.models import Mask2Former

    head = deepcopy(model_config.panoptic_head)
    for ours in ('context_interaction', 'classifier', 'no_object_weight'):
        head.pop(ours)
    head.type = 'Mask2FormerHead'
    head.num_things_classes, head.num_stuff_classes = 80, 53
    head.loss_cls.class_weight = [1.0] * 133 + [0.1]
    torch.manual_seed(5)
    stock = Mask2Former(
        backbone=model_config.backbone,
        panoptic_head=head,
        panoptic_fusion_head=ConfigDict(
            type='MaskFormerFusionHead',
            num_things_classes=80,
            num_stuff_classes=53,
        ),
        test_cfg=ConfigDict(),
    )
    for parameter in stock.parameters():
        torch.nn.init.normal_(parameter)
    for name, buffer in stock.named_buffers():
        if name.endswith('running_mean'):
            buffer.normal_()
    torch.save({'state_dict': stock.state_dict()}, tmp_path / 'stock.pth')
    before = {k: v.clone() for k, v in model.state_dict().items()}

    load_checkpoint(model, str(tmp_path / 'stock.pth'), strict=False)

    stock_state, state = stock.state_dict(), model.state_dict()
    ours = (
        'panoptic_head.cls_embed.',
        'panoptic_head.context_interaction.',
        'prompt_learner.',
    )
    missing = set(state) - set(stock_state)
    assert all(key.startswith(ours) for key in missing)
    assert set(stock_state) - set(state) == {
        'panoptic_head.cls_embed.weight',
        'panoptic_head.cls_embed.bias',
    }
    for key in set(state) & set(stock_state):
        assert torch.equal(state[key], stock_state[key]), key
    for key in missing:
        assert torch.equal(state[key], before[key]), key


# ---- building ---------------------------------------------------------------


def test_clip_brings_the_widths(model):
    assert model.prompt_learner.class_prompt.shape == (16, 32)
    assert model.panoptic_head.cls_embed.no_object.shape == (16,)


@pytest.mark.parametrize('asked', [None, 5.0])
def test_queries_are_scaled_as_clip_scales(
    build_tiny_model, model_config, asked
):
    model_config.panoptic_head.classifier.pop('temperature')
    if asked is not None:
        model_config.panoptic_head.classifier.temperature = asked
    model = build_tiny_model(model_config)

    scale = model.panoptic_head.cls_embed.log_temperature.exp().item()
    expected = asked or model.clip.clip.logit_scale.exp().item()
    assert scale == pytest.approx(expected)


def test_building_leaves_the_config_as_it_was(build_tiny_model, model_config):
    before = deepcopy(model_config)

    build_tiny_model(model_config)

    assert model_config == before


def test_fixed_prompts_instead_of_learned(
    build_tiny_model, model_config, images, samples, make_sample
):
    model_config.prompt_learner = ConfigDict(type='freeseg_mm.FixedPrompt')
    model = build_tiny_model(model_config)

    sum(model.loss(images, train_samples(make_sample)).values()).backward()
    result = model.eval().predict(images, samples)[0]

    assert list(model.prompt_learner.parameters()) == []
    assert result.pred_sem_seg.sem_seg.shape == (1, 64, 64)


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('std', [58.0, 0.0, 57.0]),
        ('std', [58.0, float('inf'), 57.0]),
        ('mean', [float('nan'), 116.0, 103.0]),
        ('pad_size_divisor', 0),
        ('pad_size_divisor', -32),
    ],
)
def test_numbers_that_leave_nothing_of_an_image(
    build_tiny_model, model_config, name, value
):
    """All was 'nothing found' with them, without a word."""
    model_config.data_preprocessor[name] = value
    with pytest.raises(ValueError, match=r'model\.data_preprocessor'):
        build_tiny_model(model_config)
