"""Table 1, ADE20K, Ours: FreeSeg.

Self-training, and prompt tuning in tests. First train the config without:
configs/freeseg/ade20k.py, and predict the unseen classes with its weights:
    freeseg-mm pseudo-labels make configs/freeseg/ade20k.py CKPT
        --out work_dirs/ade20k/pseudo_labels
Train: tools/dist_train.sh configs/tables/table1/semantic_ade_ours.py 8
"""

_base_ = '../../freeseg/ade20k.py'
paper = {
    'semantic/mIoU_seen': 44.2, 'semantic/mIoU_unseen': 28.6,
    'semantic/hIoU': 39.8,
}  # fmt: skip
train_dataloader = dict(
    dataset=dict(pseudo_labels='work_dirs/ade20k/pseudo_labels')
)
custom_hooks = [*_base_.custom_hooks, dict(type='freeseg_mm.TTAPromptHook')]
