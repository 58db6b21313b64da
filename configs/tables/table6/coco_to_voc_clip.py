"""Table 6, COCO to VOC2012, CLIP.

Every class of VOC2012 counts as unseen.
Test, with the weights of table2/instance_coco_clip.py:
    tools/test.py configs/tables/table6/coco_to_voc_clip.py CKPT
"""

_base_ = '../../freeseg/voc.py'
paper = {'semantic/mIoU': 71.6}
weights = 'table2/instance_coco_clip'
model = dict(
    prompt_learner=dict(
        _delete_=True, type='freeseg_mm.FixedPrompt', task_template=None
    ),
    panoptic_head=dict(context_interaction=None),
    test_cfg=dict(ensemble=dict(mode='clip')),
)
test_dataloader = dict(dataset=dict(seen='none'))
