"""Self-training on shapes, against shapes_interaction.py, its teacher.

freeseg-mm ablate makes the pseudo labels; by hand, see docs/self_training.md.
"""

_base_ = '../freeseg/shapes_short.py'

pseudo_labels_of = 'shapes_interaction'
model = dict(clip_prompt=None)
