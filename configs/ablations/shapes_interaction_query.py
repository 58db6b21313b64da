"""What the network of shapes_interaction.py names by itself, without CLIP's view."""

_base_ = './shapes_interaction.py'

paper_row = None
weights = 'shapes_interaction'
model = dict(test_cfg=dict(ensemble=dict(mode='query')))
