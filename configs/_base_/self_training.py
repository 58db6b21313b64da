"""Where self-training (Sec. 4.2) finds its pseudo labels.

Any run learns from them by this base and one line:

    _base_ = ['../freeseg/coco.py', '../_base_/self_training.py']
    train_dataloader = dict(dataset=dict(pseudo_labels=_base_.pseudo_labels))

Make them with the weights of the run without them:
freeseg-mm pseudo-labels make CONFIG CHECKPOINT --out work_dirs/pseudo_labels
"""

pseudo_labels = 'work_dirs/pseudo_labels'
