"""Table 1, VOC2012, Ours: FreeSeg.

Tests with prompt tuning. Self-training is not there yet
(train_dataloader.dataset.pseudo_labels); until then the training is that of
configs/freeseg/voc.py.
Train: tools/dist_train.sh configs/tables/table1/semantic_voc_ours.py 8
"""

_base_ = '../../freeseg/voc.py'
paper = {
    'semantic/mIoU_seen': 91.8, 'semantic/mIoU_unseen': 82.6,
    'semantic/hIoU': 86.9,
}  # fmt: skip
lacks = ['self-training']
model = dict(test_cfg=dict(prompt_tuning=dict(steps=1)))
