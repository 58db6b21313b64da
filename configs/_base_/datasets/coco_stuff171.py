"""COCO with 171 classes, 156 of them seen (Sec. 4.1.1).

Prepare it with ``freeseg-mm prepare coco SRC data/coco_stuff171``.
"""

_base_ = 'open_vocab.py'

data_root = 'data/coco_stuff171/'
vocabulary = 'coco_stuff171'

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
        data_prefix=dict(
            img='val2017/',
            seg='annotations/panoptic_val2017/',
            sem='annotations/semantic_val2017/',
        ),
        vocabulary=vocabulary,
    )
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='freeseg_mm.OpenVocabSemMetric'),
    dict(
        type='freeseg_mm.OpenVocabInsMetric',
        ann_file=data_root + 'annotations/instances_val2017.json',
    ),
    dict(type='freeseg_mm.OpenVocabPanMetric'),
]
test_evaluator = val_evaluator
