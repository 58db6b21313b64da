"""Table 7, prompt, fixed: templates for classes and tasks.

Isolates learned prompts, against adaptive_prompt.py. "A photo of {class}. for
{task}.", of which test-time tuning has nothing to tune.
Train: tools/dist_train.sh configs/tables/table7/fixed_prompt.py 8
"""

_base_ = '../../freeseg/coco.py'
paper = {
    'semantic/mIoU_seen': 38.5, 'semantic/mIoU_unseen': 33.7,
    'instance/mAP_seen': 21.4, 'instance/mAP_unseen': 8.2,
    'panoptic/PQ_seen': 26.1, 'panoptic/SQ_seen': 73.0,
    'panoptic/RQ_seen': 32.4, 'panoptic/PQ_unseen': 12.1,
    'panoptic/SQ_unseen': 63.6, 'panoptic/RQ_unseen': 17.5,
}  # fmt: skip
model = dict(prompt_learner=dict(_delete_=True, type='freeseg_mm.FixedPrompt'))
