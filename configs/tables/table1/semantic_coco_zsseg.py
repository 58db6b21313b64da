"""Table 1, COCO, ZSSeg: semantic labels, class prompt, self-training.

First train with train_dataloader.dataset.pseudo_labels=None, then freeseg-mm
pseudo-labels make THIS CKPT --out work_dirs/zsseg_coco/pseudo_labels
Train: tools/dist_train.sh configs/tables/table1/semantic_coco_zsseg.py 8
"""

_base_ = '../table7/single_semantic.py'
paper = {
    '_delete_': True, 'semantic/mIoU_seen': 39.6, 'semantic/mIoU_unseen': 43.6,
    'semantic/hIoU': 41.5,
}  # fmt: skip
custom_hooks = _base_.custom_hooks[:-1]  # no prompt tuning
train_dataloader = dict(
    dataset=dict(pseudo_labels='work_dirs/zsseg_coco/pseudo_labels')
)
model = dict(
    prompt_learner=dict(use_task_prompt=False),
    panoptic_head=dict(context_interaction=None),
)
