"""FreeSeg on COCO: R-101c, CLIP ViT-B/16, 640 x 640, 60k iterations.

Paper: Sec. 4.2; Tables 1-3, columns COCO (without self-training).
Train: tools/dist_train.sh configs/freeseg/coco.py 8
"""

_base_ = [
    '../_base_/models/freeseg_r101c.py',
    '../_base_/datasets/coco_stuff171.py',
    '../_base_/schedules/adamw_60k.py',
    '../_base_/default_runtime.py',
]

model = dict(data_preprocessor=dict(batch_augments=_base_.batch_augments))
