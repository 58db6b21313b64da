"""Table 4, row 1, on shapes: a vector for each class instead of text."""

_base_ = '../freeseg/shapes_short.py'

paper_row = 'table4/ablation_1_no_text'
model = dict(
    prompt_learner=dict(
        _delete_=True,
        type='freeseg_mm.ClassEmbedding',
        vocabulary='data/shapes/vocabulary.json',
    ),
    panoptic_head=dict(context_interaction=None),
    # CLIP's view of a mask is compared with text
    mask_classifier=None,
    clip_prompt=None,
    test_cfg=dict(ensemble=dict(mode='query')),
)
