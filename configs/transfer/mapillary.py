"""Transfer: COCO to Mapillary Vistas 1.2, 65 classes, 2,000 images.

Every class counts as unseen, as in Table 5.
Data: freeseg-mm prepare mapillary SRC data/mapillary
Test, with the weights of configs/freeseg/coco.py:
    tools/test.py configs/transfer/mapillary.py CKPT
"""

_base_ = './cityscapes.py'

data_root = 'data/mapillary/'

val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/panoptic_validation.json',
        data_prefix=dict(
            img='validation/',
            seg='annotations/panoptic_validation/',
            sem='annotations/semantic_validation/',
        ),
    )
)
test_dataloader = val_dataloader

val_evaluator = [
    _base_.val_evaluator[0],
    dict(
        _base_.val_evaluator[1],
        ann_file=data_root + 'annotations/instances_validation.json',
    ),
    _base_.val_evaluator[2],
]
test_evaluator = val_evaluator
