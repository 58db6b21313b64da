"""The shapes run with prompts learned first, then frozen, as released.

Prompts: freeseg-mm prompts pretrain
    configs/freeseg/shapes_pretrained_prompts.py --out data/shapes_prompts.pth
Train: tools/train.py configs/freeseg/shapes_pretrained_prompts.py
"""

_base_ = './shapes.py'

model = dict(prompt_learner=dict(pretrained='data/shapes_prompts.pth'))
