"""Table 1, VOC2012, ZSSeg: semantic labels, class prompt, self-training.

An approximation: docs/reproduction.md. First train it with --work-dir W
--cfg-options train_dataloader.dataset.pseudo_labels=None, then freeseg-mm
pseudo-labels make THIS CKPT --out work_dirs/zsseg_voc/pseudo_labels
Train: tools/dist_train.sh configs/tables/table1/semantic_voc_zsseg.py 8
"""

_base_ = '../../freeseg/voc.py'
paper = {
    'semantic/mIoU_seen': 79.2, 'semantic/mIoU_unseen': 78.1,
    'semantic/hIoU': 79.3,
}  # fmt: skip
train_dataloader = dict(
    dataset=dict(pseudo_labels='work_dirs/zsseg_voc/pseudo_labels')
)
model = dict(
    prompt_learner=dict(use_task_prompt=False),
    panoptic_head=dict(context_interaction=None),
)
