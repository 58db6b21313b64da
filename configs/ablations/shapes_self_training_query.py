"""What the network of shapes_self_training.py names by itself, without CLIP's view."""

_base_ = './shapes_self_training.py'

pseudo_labels_of = None
weights = 'shapes_self_training'
model = dict(test_cfg=dict(ensemble=dict(mode='query')))
