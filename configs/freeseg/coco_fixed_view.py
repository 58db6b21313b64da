"""FreeSeg on COCO whose CLIP compares masks with ``A photo of {}.``.

Not the paper's reading: there masks are compared with the learned prompts, as
in coco.py, whose weights this config tests.
Test: tools/test.py configs/freeseg/coco_fixed_view.py CKPT
"""

_base_ = './coco.py'

model = dict(clip_prompt=dict(_base_.fixed_view, _delete_=True))
