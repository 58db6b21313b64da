import pytest

from freeseg_mm import FreeSegInferencer
from freeseg_mm.models.predict_options import PredictOptions
from freeseg_mm.models.prompt_tuning import PromptTuning

WORDS = ['dragon', 'house', 'cat']
CALL = {
    'classes': WORDS,
    'things': WORDS,
    'tasks': 'instance',
    'score_thr': 0.0,
}
# All queries are confident, and a step is large.
STRONG = {
    'steps': 2,
    'learning_rate': 0.5,
    'threshold': 1.0,
    'unseen_first': False,
}


def scores(results):
    return [[mask.score for mask in result.instances] for result in results]


@pytest.mark.parametrize(
    ('choice', 'configured', 'expected'),
    [
        (None, None, {'steps': 0}),
        (None, {'steps': 3}, {'steps': 3}),
        (True, None, {'steps': 1}),
        (
            True,
            {'steps': 0, 'source': 'clip'},
            {'steps': 1, 'source': 'clip'},
        ),
        (True, {'steps': 3}, {'steps': 3}),
        (False, {'steps': 3}, {'steps': 0}),
        (2, {'online': True}, {'steps': 2, 'online': True}),
        (0, {'steps': 3}, {'steps': 0}),
        ({'learning_rate': 0.1}, {'steps': 0}, {'learning_rate': 0.1}),
        ({'steps': 4}, {'steps': 3}, {'steps': 4}),
        (PromptTuning(steps=5), {'online': True}, {'steps': 5}),
    ],
)
def test_what_a_choice_means(choice, configured, expected):
    usual = PredictOptions.from_config({'prompt_tuning': configured})
    changed = usual.override(prompt_tuning=choice)
    assert changed.prompt_tuning == PromptTuning(**expected)
    assert (changed.tuner is None) == (changed.prompt_tuning.steps == 0)


@pytest.mark.parametrize(
    ('choice', 'error', 'message'),
    [
        ('yes', TypeError, "a dictionary of settings, got 'yes'"),
        (0.5, TypeError, 'True, False, a number of steps or a .*got 0.5'),
        ({'stps': 1}, TypeError, r"unknown keys \['stps'\]; known are"),
        (-1, ValueError, 'prompt_tuning.steps=-1: expected at least 0'),
        ({'threshold': 2}, ValueError, 'prompt_tuning.threshold=2'),
    ],
)
def test_what_is_refused(choice, error, message):
    with pytest.raises(error, match=message):
        PredictOptions().override(prompt_tuning=choice)


def test_mistakes_come_before_weights(tiny_weights, tmp_path):
    path = tmp_path / 'no_weights.pth'
    path.write_text('hello')
    with pytest.raises(ValueError, match=r'prompt_tuning.steps=-2'):
        FreeSegInferencer(tiny_weights[0], path, prompt_tuning=-2)


def test_tuning_is_of_one_call(tiny_inferencer, photo):
    """It changes what is answered, and afterwards all is as before."""
    model = tiny_inferencer.model
    before = {
        name: value.clone() for name, value in model.state_dict().items()
    }
    usual = tiny_inferencer([photo], **CALL)
    tuned = tiny_inferencer([photo], **CALL, prompt_tuning=STRONG)
    assert scores(tuned) != scores(usual)
    (note,) = tuned[0].notes
    assert note.startswith('prompt tuned on ')
    assert usual[0].notes == ()
    assert scores(tiny_inferencer([photo], **CALL)) == scores(usual)
    assert model.predict_options.tuner is None
    assert not model.training
    for name, value in model.state_dict().items():
        assert value.equal(before[name]), name
        assert not value.requires_grad
    assert all(p.grad is None for p in model.parameters())


def test_a_number_is_of_steps(tiny_inferencer, photo):
    rest = {name: STRONG[name] for name in STRONG if name != 'steps'}
    one, other, none = (
        tiny_inferencer([photo], **CALL, prompt_tuning=choice)
        for choice in ({**rest, 'steps': 1}, rest, 0)
    )
    assert scores(one) == scores(other)
    assert scores(none) == scores(tiny_inferencer([photo], **CALL))


def test_words_of_the_training_are_not_tuned(tiny_inferencer, photo):
    (result,) = tiny_inferencer(
        photo, ['cat', 'grass'], tasks='semantic', prompt_tuning=STRONG
    )
    assert result.notes == (
        'prompt not tuned: no confident query of an unseen class',
    )


def test_online_goes_on_within_a_call_only(tiny_inferencer, noise):
    first, second = (noise(seed=k)[..., ::-1] for k in (1, 2))
    settings = {**STRONG, 'online': True}
    both = tiny_inferencer([first, second], **CALL, prompt_tuning=settings)
    alone = [
        tiny_inferencer(image, **CALL, prompt_tuning=settings)
        for image in (first, second)
    ]
    assert scores(both[:1]) == scores(alone[0])
    assert scores(both[1:]) != scores(alone[1])


def test_an_inferencer_may_always_tune(tiny_weights, tiny_inferencer, photo):
    always = FreeSegInferencer(
        *tiny_weights, device='cpu', prompt_tuning=STRONG
    )
    tuned = tiny_inferencer([photo], **CALL, prompt_tuning=STRONG)
    assert scores(always([photo], **CALL)) == scores(tuned)
    usual = always([photo], **CALL, prompt_tuning=False)
    assert scores(usual) == scores(tiny_inferencer([photo], **CALL))


def test_the_config_may_say_it(tiny_weights, tiny_inferencer, photo):
    by_config = FreeSegInferencer(
        *tiny_weights,
        device='cpu',
        cfg_options={'model.test_cfg.prompt_tuning': STRONG},
    )
    tuned = tiny_inferencer([photo], **CALL, prompt_tuning=STRONG)
    for _ in range(2):
        assert scores(by_config([photo], **CALL)) == scores(tuned)
    assert by_config.options.tuner is not None


def test_a_batch_is_tuned_together(tiny_inferencer, noise):
    images = [noise(seed=k)[..., ::-1] for k in (1, 2)]
    results = tiny_inferencer(
        images, **CALL, prompt_tuning=STRONG, batch_size=2
    )
    assert results[0].notes == results[1].notes
    apart = tiny_inferencer(images, **CALL, prompt_tuning=STRONG)

    def queries(result):
        return int(result.notes[0].split()[3])

    assert queries(results[0]) == sum(map(queries, apart))


def test_a_refused_tuner_leaves_the_model_alone(
    build_tiny_model, tiny_model_config
):
    tiny_model_config.mask_classifier = None
    tiny_model_config.test_cfg.ensemble.mode = 'query'
    model = build_tiny_model()
    model.set_defaults(prompt_tuning=2)
    usual = model.predict_options
    with pytest.raises(ValueError, match='mask_classifier'):
        model.set_defaults(prompt_tuning={'source': 'clip'})
    assert model.predict_options is usual
