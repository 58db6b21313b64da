"""FreeSeg on COCO, prompts learned first on crops, then frozen, as released.

Prompts: freeseg-mm prompts pretrain configs/freeseg/coco.py
    --out data/coco_prompts.pth
Train: tools/dist_train.sh configs/freeseg/coco_prompts_first.py 8
Rows of the tables take them by one option, docs/prompt_pretraining.md.
"""

_base_ = './coco.py'

model = dict(prompt_learner=dict(pretrained='data/coco_prompts.pth'))
