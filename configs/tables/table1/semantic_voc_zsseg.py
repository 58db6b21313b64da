"""Table 1, VOC2012, ZSSeg: semantic labels alone, class prompt.

No task prompt, no interaction. An approximation: Mask2Former's proposals for
MaskFormer's, prompts learned with the network. The number is ZSSeg's own, with
self-training, which is missing here.
Train: tools/dist_train.sh configs/tables/table1/semantic_voc_zsseg.py 8
"""

_base_ = '../../freeseg/voc.py'
paper = {
    'semantic/mIoU_seen': 79.2, 'semantic/mIoU_unseen': 78.1,
    'semantic/hIoU': 79.3,
}  # fmt: skip
lacks = ['self-training']
model = dict(
    prompt_learner=dict(use_task_prompt=False),
    panoptic_head=dict(context_interaction=None),
)
