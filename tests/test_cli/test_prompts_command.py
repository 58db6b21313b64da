import re

import pytest
import torch

from freeseg_mm.engine.compatibility_hook import KEY
from freeseg_mm.structures import Vocabulary


def test_prompts_are_written(run, config_file, shapes_world, tmp_path):
    out = tmp_path / 'prompts.pth'
    words = Vocabulary.load(shapes_world / 'vocabulary.json').seen_only()

    code, printed, told = run(
        *('prompts', 'pretrain', config_file),
        *('--out', out, '--iters', 2, '--batch-size', 8, '--held-out', 0.5),
        *('--device', 'cpu'),
    )

    assert code == 0
    content = torch.load(out, weights_only=True)
    assert content['state_dict']['class_prompt'].shape == (16, 32)
    assert content[KEY]['vocabulary'] == words.content_hash
    for bar in ('choosing crops', 'showing CLIP masks', 'learning prompts'):
        assert f'{bar}: 100%' in told
    share = r'\d+\.\d'
    assert re.search(
        r'learned from \d+ crops of seen classes; named rightly of \d+ held-'
        r'out ones, percent, mean over classes:\n'
        + ''.join(
            rf'  .*{line}.*: semantic {share}, instance {share}, panoptic '
            rf'{share}\n'
            for line in ('A photo of', 'before learning', 'after learning')
        )
        + rf'prompts are in {re.escape(str(out))}\n',
        printed,
    )


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--out', 'p.bin'], 'expected a name ending in .pth'),
        (['--out', 'gone/p.pth'], 'no folder gone'),
        (['--out', 'p.pth', '--iters', '0'], 'iters is 0'),
        (
            [
                '--out',
                'p.pth',
                '--cfg-options',
                'model.prompt_learner.num_class_tokens=0',
                'model.prompt_learner.use_task_prompt=False',
            ],
            'model.prompt_learner is a AdaptivePromptLearner without learned',
        ),
        (
            [
                '--out',
                'p.pth',
                '--cfg-options',
                'train_dataloader.dataset.pipeline=[]',
            ],
            'has no freeseg_mm.LoadPanopticSegments',
        ),
        (
            [
                '--out',
                'p.pth',
                '--cfg-options',
                'train_dataloader.dataset.datasets=[]',
            ],
            'train_dataloader has 0 datasets; prompts are learned from one',
        ),
        (
            ['--out', 'p.pth', '--cfg-options', 'model.gone.x=1'],
            "the config has no 'gone' there",
        ),
    ],
)
def test_mistakes_end_in_a_sentence(
    run, config_file, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)

    code, _, told = run('prompts', 'pretrain', config_file, *arguments)

    assert code == 1
    (line,) = told.splitlines()
    assert line.startswith('freeseg-mm prompts pretrain: ')
    assert message in line
    assert not list(tmp_path.glob('*.pth'))
