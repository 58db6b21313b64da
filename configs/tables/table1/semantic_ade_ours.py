"""Table 1, ADE20K, Ours: FreeSeg.

Self-training (train_dataloader.dataset.pseudo_labels) and prompt tuning
(model.test_cfg.prompt_tuning) are not there yet; until then this row equals
configs/freeseg/ade20k.py.
Train: tools/dist_train.sh configs/tables/table1/semantic_ade_ours.py 8
"""

_base_ = '../../freeseg/ade20k.py'
paper = {
    'semantic/mIoU_seen': 44.2, 'semantic/mIoU_unseen': 28.6,
    'semantic/hIoU': 39.8,
}  # fmt: skip
lacks = ['prompt tuning', 'self-training']
