"""Transfer: COCO to LVIS, 1,203 classes, 19,809 images, instances.

Every class counts as unseen, as in Table 5.
Data: freeseg-mm prepare lvis SRC data/lvis
Test, with the weights of configs/freeseg/coco.py:
    tools/test.py configs/transfer/lvis.py CKPT
"""

_base_ = '../freeseg/coco.py'

data_root = 'data/lvis/'

model = dict(test_cfg=dict(tasks=['instance'], max_per_image=300))

val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/panoptic_val.json',
        data_prefix=dict(
            img='val/', seg='annotations/panoptic_val/', _delete_=True
        ),
        vocabulary='vocabulary.json',
        seen='none',
    )
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(
        type='freeseg_mm.OpenVocabLvisMetric',
        ann_file=data_root + 'annotations/instances_val.json',
    ),
]
test_evaluator = val_evaluator
