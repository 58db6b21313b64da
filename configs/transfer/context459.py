"""Transfer: COCO to Pascal Context, 459 classes, semantic.

Every class counts as unseen, as in Table 5.
Data: docs/own_data.md, data sets of the field.
Test, with the weights of configs/freeseg/coco.py:
    tools/test.py configs/transfer/context459.py CKPT
"""

_base_ = './context59.py'

data_root = 'data/context459/'

# no maps of indices: 8 bits do not hold them
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(
            img='val/', seg='annotations/panoptic_val/', _delete_=True
        ),
    )
)
test_dataloader = val_dataloader
