"""Table 1, COCO, Ours: FreeSeg.

Self-training, and prompt tuning in tests. First train the config without:
configs/freeseg/coco.py, and predict the unseen classes with its weights:
    freeseg-mm pseudo-labels make configs/freeseg/coco.py CKPT
        --out work_dirs/coco/pseudo_labels
Train: tools/dist_train.sh configs/tables/table1/semantic_coco_ours.py 8
"""

_base_ = '../../freeseg/coco.py'
paper = {
    'semantic/mIoU_seen': 42.2, 'semantic/mIoU_unseen': 49.1,
    'semantic/hIoU': 45.3,
}  # fmt: skip
train_dataloader = dict(
    dataset=dict(pseudo_labels='work_dirs/coco/pseudo_labels')
)
custom_hooks = [*_base_.custom_hooks, dict(type='freeseg_mm.TTAPromptHook')]
