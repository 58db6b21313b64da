"""Transfer: COCO to Mapillary Vistas 1.2, 65 classes, 2,000 images.

Every class counts as unseen, as in Table 5.
Data: freeseg-mm prepare mapillary SRC data/mapillary
Test, with the weights of configs/freeseg/coco.py:
    tools/test.py configs/transfer/mapillary.py CKPT
"""

_base_ = '../freeseg/coco.py'

data_root = 'data/mapillary/'
test_size = 1024

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(4 * test_size, test_size), keep_ratio=True),
    _base_.pack_test,
]
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/panoptic_validation.json',
        data_prefix=dict(
            img='validation/',
            seg='annotations/panoptic_validation/',
            sem='annotations/semantic_validation/',
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
        ann_file=data_root + 'annotations/instances_validation.json',
    ),
    dict(type='freeseg_mm.OpenVocabPanMetric'),
]
test_evaluator = val_evaluator
