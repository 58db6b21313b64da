"""Table 1, COCO, ZSSeg: semantic labels alone, class prompt.

No task prompt, no interaction. An approximation: Mask2Former's proposals for
MaskFormer's, prompts learned with the network. The number is ZSSeg's own, with
self-training, which is missing here.
Train: tools/dist_train.sh configs/tables/table1/semantic_coco_zsseg.py 8
"""

_base_ = '../table7/single_semantic.py'
paper = {
    '_delete_': True, 'semantic/mIoU_seen': 39.6, 'semantic/mIoU_unseen': 43.6,
    'semantic/hIoU': 41.5,
}  # fmt: skip
lacks = ['self-training']
model = dict(
    prompt_learner=dict(use_task_prompt=False),
    panoptic_head=dict(context_interaction=None),
)
