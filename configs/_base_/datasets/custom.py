"""Your own dataset, as ``freeseg-mm import`` writes it.

Give your ``data_root`` to the three data sets and to the instance metric,
or import to ``data/custom``. Recipes: ``docs/own_data.md``.
"""

_base_ = 'open_vocab.py'

data_root = 'data/custom/'
vocabulary = 'vocabulary.json'  # in data_root

train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/panoptic_train.json',
        data_prefix=dict(img='train/', seg='annotations/panoptic_train/'),
        vocabulary=vocabulary,
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/panoptic_val.json',
        data_prefix=dict(
            img='val/',
            seg='annotations/panoptic_val/',
            sem='annotations/semantic_val/',
        ),
        vocabulary=vocabulary,
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
