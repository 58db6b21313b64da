"""Table 1, ADE20K, Ours: FreeSeg.

Tests with prompt tuning. Self-training is not there yet
(train_dataloader.dataset.pseudo_labels); until then the training is that of
configs/freeseg/ade20k.py.
Train: tools/dist_train.sh configs/tables/table1/semantic_ade_ours.py 8
"""

_base_ = '../../freeseg/ade20k.py'
paper = {
    'semantic/mIoU_seen': 44.2, 'semantic/mIoU_unseen': 28.6,
    'semantic/hIoU': 39.8,
}  # fmt: skip
lacks = ['self-training']
model = dict(test_cfg=dict(prompt_tuning=dict(steps=1)))
