"""FreeSeg on COCO with a frozen ConvNeXt-L CLIP as the backbone.

Prompts, interaction and three tasks are the paper's; images, and masks as
CLIP sees them, cost one pass of CLIP's image tower.
Train: tools/dist_train.sh configs/freeseg/coco_convclip.py 8
"""

_base_ = [
    '../_base_/models/freeseg_convclip.py',
    '../_base_/datasets/coco_stuff171.py',
    '../_base_/schedules/adamw_60k.py',
    '../_base_/default_runtime.py',
]

model = dict(data_preprocessor=dict(batch_augments=_base_.batch_augments))
