"""FreeSeg on PASCAL VOC 2012: semantic, 512 x 512, 20k iterations.

Paper: Sec. 4.2; Table 1, columns VOC2012 (without self-training). Learning
rate and weight decay are the paper's; the authors' release has 2e-5 for both.
Train: tools/dist_train.sh configs/freeseg/voc.py 8
"""

_base_ = [
    '../_base_/models/freeseg_r101c.py',
    '../_base_/datasets/voc20.py',
    '../_base_/schedules/adamw_60k.py',
    '../_base_/default_runtime.py',
]

max_iters = 20000

model = dict(
    data_preprocessor=dict(batch_augments=_base_.batch_augments),
    test_cfg=dict(tasks=['semantic']),
)

param_scheduler = [
    dict(
        type='PolyLR',
        power=0.9,
        eta_min=0.0,
        begin=0,
        end=max_iters,
        by_epoch=False,
    )
]
train_cfg = dict(max_iters=max_iters, val_interval=2000)
