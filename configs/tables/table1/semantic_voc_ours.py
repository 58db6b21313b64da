"""Table 1, VOC2012, Ours: FreeSeg.

Self-training, and prompt tuning in tests. First train the config without:
configs/freeseg/voc.py, and predict the unseen classes with its weights:
    freeseg-mm pseudo-labels make configs/freeseg/voc.py CKPT
        --out work_dirs/voc/pseudo_labels
Train: tools/dist_train.sh configs/tables/table1/semantic_voc_ours.py 8
"""

_base_ = '../../freeseg/voc.py'
paper = {
    'semantic/mIoU_seen': 91.8, 'semantic/mIoU_unseen': 82.6,
    'semantic/hIoU': 86.9,
}  # fmt: skip
train_dataloader = dict(
    dataset=dict(pseudo_labels='work_dirs/voc/pseudo_labels')
)
custom_hooks = [*_base_.custom_hooks, dict(type='freeseg_mm.TTAPromptHook')]
