"""COCO panoptic as released: 133 classes, 122 of them seen.

The protocol of the authors' panoptic and instance numbers, with the seen
flags of ``coco_panoptic133``. It needs no preparation: ``data/coco`` is, or
is a link to, the public download with ``train2017/``, ``val2017/`` and
``annotations/``.
"""

_base_ = 'open_vocab.py'

data_root = 'data/coco/'
vocabulary = 'coco_panoptic133'

train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/panoptic_train2017.json',
        data_prefix=dict(
            img='train2017/', seg='annotations/panoptic_train2017/'
        ),
        vocabulary=vocabulary,
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/panoptic_val2017.json',
        data_prefix=dict(img='val2017/', seg='annotations/panoptic_val2017/'),
        vocabulary=vocabulary,
    )
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(
        type='freeseg_mm.OpenVocabInsMetric',
        ann_file=data_root + 'annotations/instances_val2017.json',
    ),
    dict(type='freeseg_mm.OpenVocabPanMetric'),
]
test_evaluator = val_evaluator
