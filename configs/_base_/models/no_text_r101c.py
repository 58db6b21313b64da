"""The network without text: class vectors instead (Table 4, first row)."""

_base_ = './freeseg_r101c.py'

model = dict(
    prompt_learner=dict(
        _delete_=True,
        type='freeseg_mm.ClassEmbedding',
        vocabulary='coco_stuff171',
    ),
    panoptic_head=dict(context_interaction=None),
    # CLIP's view of a mask is compared with text
    mask_classifier=None,
    clip_prompt=None,
    test_cfg=dict(ensemble=dict(mode='query')),
)
