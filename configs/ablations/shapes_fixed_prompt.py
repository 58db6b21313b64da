"""Table 7 on shapes, prompt, fixed: templates for classes and tasks."""

_base_ = '../freeseg/shapes_short.py'

paper_row = 'table7/fixed_prompt'
model = dict(
    clip_prompt=None,
    prompt_learner=dict(_delete_=True, type='freeseg_mm.FixedPrompt'),
)
