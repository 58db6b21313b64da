"""Table 5, COCO to ADE20K, ZSSeg, instance segmentation.

Every class of ADE20K counts as unseen.
Test, with the weights of table2/instance_coco_zsseg.py:
    tools/test.py configs/tables/table5/coco_to_ade_zsseg_instance.py CKPT
"""

_base_ = '../table2/instance_ade_zsseg.py'
paper = {'_delete_': True, 'instance/mAP': 4.0}
weights = 'table2/instance_coco_zsseg'
test_dataloader = dict(dataset=dict(seen='none'))
