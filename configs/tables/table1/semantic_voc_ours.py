"""Table 1, VOC2012, Ours: FreeSeg.

Self-training (train_dataloader.dataset.pseudo_labels) and prompt tuning
(model.test_cfg.prompt_tuning) are not there yet; until then this row equals
configs/freeseg/voc.py.
Train: tools/dist_train.sh configs/tables/table1/semantic_voc_ours.py 8
"""

_base_ = '../../freeseg/voc.py'
paper = {
    'semantic/mIoU_seen': 91.8, 'semantic/mIoU_unseen': 82.6,
    'semantic/hIoU': 86.9,
}  # fmt: skip
lacks = ['prompt tuning', 'self-training']
