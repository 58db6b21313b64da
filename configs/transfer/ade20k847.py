"""Transfer: COCO to ADE20K with 847 classes, semantic.

Every class counts as unseen, as in Table 5.
Data: docs/own_data.md, data sets of the field.
Test, with the weights of configs/freeseg/coco.py:
    tools/test.py configs/transfer/ade20k847.py CKPT
"""

_base_ = './context459.py'

data_root = 'data/ade20k847/'

val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
