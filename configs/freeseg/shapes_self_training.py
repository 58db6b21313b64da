"""FreeSeg on the shapes benchmark with pseudo labels of the unseen classes.

First the run without them, then what its weights predict:
Train: tools/train.py configs/freeseg/shapes.py
Labels: freeseg-mm pseudo-labels make configs/freeseg/shapes.py
    work_dirs/shapes/iter_1500.pth --out work_dirs/pseudo_labels
Train: tools/train.py configs/freeseg/shapes_self_training.py
All of it: freeseg-mm self-train configs/freeseg/shapes.py --work-dir DIR
"""

_base_ = ['./shapes.py', '../_base_/self_training.py']

train_dataloader = dict(dataset=dict(pseudo_labels=_base_.pseudo_labels))
