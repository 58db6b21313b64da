"""FreeSeg on ADE20K: as on COCO, at 512 x 512.

Paper: Sec. 4.2; Tables 1-3, columns ADE20K (without self-training). Learning
rate and weight decay are the paper's; the authors' release has 1e-4 for both.
Train: tools/dist_train.sh configs/freeseg/ade20k.py 8
"""

_base_ = [
    '../_base_/models/freeseg_r101c.py',
    '../_base_/datasets/ade20k150.py',
    '../_base_/schedules/adamw_60k.py',
    '../_base_/default_runtime.py',
]

model = dict(
    data_preprocessor=dict(batch_augments=_base_.batch_augments),
)
