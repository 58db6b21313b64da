"""Table 4, row 5: test-time prompt tuning.

Isolates the tuning, against row 4, whose weights it tests.
Test: tools/test.py configs/tables/table4/ablation_5_prompt_tuning.py CKPT
"""

_base_ = './ablation_4_interaction.py'
paper = {
    '_delete_': True, 'semantic/mIoU_seen': 41.9, 'semantic/mIoU_unseen': 43.3,
    'instance/mAP_seen': 23.9, 'instance/mAP_unseen': 14.6,
    'panoptic/PQ_seen': 30.4, 'panoptic/SQ_seen': 76.7,
    'panoptic/RQ_seen': 38.1, 'panoptic/PQ_unseen': 19.2,
    'panoptic/SQ_unseen': 71.4, 'panoptic/RQ_unseen': 24.1,
}  # fmt: skip
weights = 'table4/ablation_4_interaction'
custom_hooks = [*_base_.custom_hooks, dict(type='freeseg_mm.TTAPromptHook')]
