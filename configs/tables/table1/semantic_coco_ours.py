"""Table 1, COCO, Ours: FreeSeg.

Self-training (train_dataloader.dataset.pseudo_labels) and prompt tuning
(model.test_cfg.prompt_tuning) are not there yet; until then this row equals
configs/freeseg/coco.py.
Train: tools/dist_train.sh configs/tables/table1/semantic_coco_ours.py 8
"""

_base_ = '../../freeseg/coco.py'
paper = {
    'semantic/mIoU_seen': 42.2, 'semantic/mIoU_unseen': 49.1,
    'semantic/hIoU': 45.3,
}  # fmt: skip
lacks = ['prompt tuning', 'self-training']
