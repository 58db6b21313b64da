"""Transfer: COCO to Cityscapes, 19 classes, 500 images.

Every class counts as unseen, as in Table 5.
Data: freeseg-mm prepare cityscapes SRC data/cityscapes
Test, with the weights of configs/freeseg/coco.py:
    tools/test.py configs/transfer/cityscapes.py CKPT
"""

_base_ = '../freeseg/coco.py'

data_root = 'data/cityscapes/'
test_size = 1024

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
            img='val/',
            seg='annotations/panoptic_val/',
            sem='annotations/semantic_val/',
        ),
        vocabulary='vocabulary.json',
        seen='none',
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='freeseg_mm.OpenVocabSemMetric'),
    dict(
        type='freeseg_mm.OpenVocabInsMetric',
        ann_file=data_root + 'annotations/instances_val.json',
    ),
    dict(type='freeseg_mm.OpenVocabPanMetric'),
]
test_evaluator = val_evaluator
