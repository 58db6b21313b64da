"""Table 4, row 5, on shapes: row 4's weights with test-time prompt tuning."""

_base_ = './shapes_interaction.py'

paper_row = 'table4/ablation_5_prompt_tuning'
weights = 'shapes_interaction'
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='freeseg_mm.TTAPromptHook'),
]
test_dataloader = dict(batch_size=1)  # tuned for each image by itself
