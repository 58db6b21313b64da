"""Table 1, VOC2012, Full Sup.: FreeSeg trained on seen and unseen classes.

What the labels of the unseen classes are worth; seen and unseen ones are still
reported apart.
Train: tools/dist_train.sh configs/tables/table1/semantic_voc_full_sup.py 8
"""

_base_ = '../../freeseg/voc.py'
paper = {
    'semantic/mIoU_seen': 92.3, 'semantic/mIoU_unseen': 89.5,
    'semantic/hIoU': 91.1,
}  # fmt: skip
train_dataloader = dict(dataset=dict(split='all'))
# the network has learned every class, so it is trusted alike on all
model = dict(test_cfg=dict(ensemble=dict(unseen_weight=0.8)))
