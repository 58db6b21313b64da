"""Table 1, COCO, Ours: FreeSeg.

Tests with prompt tuning. Self-training is not there yet
(train_dataloader.dataset.pseudo_labels); until then the training is that of
configs/freeseg/coco.py.
Train: tools/dist_train.sh configs/tables/table1/semantic_coco_ours.py 8
"""

_base_ = '../../freeseg/coco.py'
paper = {
    'semantic/mIoU_seen': 42.2, 'semantic/mIoU_unseen': 49.1,
    'semantic/hIoU': 45.3,
}  # fmt: skip
lacks = ['self-training']
model = dict(test_cfg=dict(prompt_tuning=dict(steps=1)))
