"""Table 1, COCO, Full Sup.: FreeSeg trained on seen and unseen classes.

What the labels of the unseen classes are worth; seen and unseen ones are still
reported apart. One training gives Tables 1 to 3.
Train: tools/dist_train.sh configs/tables/table1/semantic_coco_full_sup.py 8
"""

_base_ = '../../freeseg/coco.py'
paper = {
    'semantic/mIoU_seen': 42.9, 'semantic/mIoU_unseen': 54.3,
    'semantic/hIoU': 47.9,
}  # fmt: skip
train_dataloader = dict(dataset=dict(split='all'))
# the network has learned every class, so it is trusted alike on all
model = dict(test_cfg=dict(ensemble=dict(unseen_weight=0.8)))
