"""CLIP and a stock Mask2Former, on COCO: nothing is trained.

Test: tools/test.py configs/freeseg/coco_clip.py WEIGHTS, those of mmdet's
mask2former_r101_8xb2-lsj-50e_coco-panoptic (docs/models.md fetches them). They know the masks, though not
the names, of unseen classes too; tables/table2/instance_coco_clip.py does not.
"""

_base_ = './coco.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=101,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        style='pytorch',
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet101'),
    ),
    prompt_learner=dict(
        _delete_=True, type='freeseg_mm.FixedPrompt', task_template=None
    ),
    panoptic_head=dict(
        context_interaction=None,
        # mmdet's own classifier stays, and says what is an object
        closed_vocabulary='coco_panoptic133',
        classifier=None,
    ),
    test_cfg=dict(ensemble=dict(mode='clip')),
)
