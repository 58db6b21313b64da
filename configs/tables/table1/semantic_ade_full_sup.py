"""Table 1, ADE20K, Full Sup.: FreeSeg trained on seen and unseen classes.

What the labels of the unseen classes are worth; seen and unseen ones are still
reported apart. One training gives Tables 1 to 3.
Train: tools/dist_train.sh configs/tables/table1/semantic_ade_full_sup.py 8
"""

_base_ = '../../freeseg/ade20k.py'
paper = {
    'semantic/mIoU_seen': 46.1, 'semantic/mIoU_unseen': 41.5,
    'semantic/hIoU': 44.0,
}  # fmt: skip
train_dataloader = dict(dataset=dict(split='all'))
# the network has learned every class, so it is trusted alike on all
model = dict(test_cfg=dict(ensemble=dict(unseen_weight=0.8)))
