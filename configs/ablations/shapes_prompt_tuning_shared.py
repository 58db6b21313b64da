"""CLIP's view by the same, tuned text: shapes_prompt_tuning.py."""

_base_ = './shapes_prompt_tuning.py'

paper_row = None
model = dict(clip_prompt=None)
