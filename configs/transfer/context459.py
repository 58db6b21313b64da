"""Transfer: COCO to Pascal Context, 459 classes, semantic.

Every class counts as unseen, as in Table 5.
Data: docs/own_data.md, data sets of the field.
Test, with the weights of configs/freeseg/coco.py:
    tools/test.py configs/transfer/context459.py CKPT
"""

_base_ = '../freeseg/coco.py'

data_root = 'data/context459/'
test_size = 512

model = dict(test_cfg=dict(tasks=['semantic']))

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(4 * test_size, test_size), keep_ratio=True),
    _base_.pack_test,
]
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/panoptic_val.json',
        data_prefix=dict(
            img='val/', seg='annotations/panoptic_val/', _delete_=True
        ),
        vocabulary='vocabulary.json',
        seen='none',
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='freeseg_mm.OpenVocabSemMetric'),
]
test_evaluator = val_evaluator
