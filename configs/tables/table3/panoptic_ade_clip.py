"""Table 3, ADE20K, CLIP: CLIP's view alone of masks without text.

Nothing to train: the weights and the test of
table2/instance_ade_clip.py give this row too.
"""

_base_ = '../table2/instance_ade_clip.py'
paper = {
    '_delete_': True, 'panoptic/PQ_seen': 9.5, 'panoptic/SQ_seen': 62.8,
    'panoptic/RQ_seen': 12.1, 'panoptic/PQ_unseen': 3.4,
    'panoptic/SQ_unseen': 61.1, 'panoptic/RQ_unseen': 4.7,
}  # fmt: skip
weights = 'table2/instance_ade_clip'
