"""Table 3, COCO, CLIP: CLIP's view alone of masks without text.

Nothing to train: the weights and the test of
table2/instance_coco_clip.py give this row too.
"""

_base_ = '../table2/instance_coco_clip.py'
paper = {
    '_delete_': True, 'panoptic/PQ_seen': 14.3, 'panoptic/SQ_seen': 71.5,
    'panoptic/RQ_seen': 18.4, 'panoptic/PQ_unseen': 9.2,
    'panoptic/SQ_unseen': 70.3, 'panoptic/RQ_unseen': 11.6,
}  # fmt: skip
weights = 'table2/instance_coco_clip'
