"""Prompts learned on crops first, then frozen; else shapes_interaction.py.

Prompts: freeseg-mm prompts pretrain
    configs/freeseg/shapes_pretrained_prompts.py --out data/shapes_prompts.pth
"""

_base_ = './shapes_interaction.py'

paper_row = None
model = dict(prompt_learner=dict(pretrained='data/shapes_prompts.pth'))
