"""What the network names by itself: shapes_self_training.py without CLIP."""

_base_ = './shapes_self_training.py'

pseudo_labels_of = None
weights = 'shapes_self_training'
model = dict(test_cfg=dict(ensemble=dict(mode='query')))
