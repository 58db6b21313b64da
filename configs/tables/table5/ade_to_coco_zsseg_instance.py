"""Table 5, ADE20K to COCO, ZSSeg, instance segmentation.

Every class of COCO counts as unseen.
Test, with the weights of table2/instance_ade_zsseg.py:
    tools/test.py configs/tables/table5/ade_to_coco_zsseg_instance.py CKPT
"""

_base_ = '../table2/instance_coco_zsseg.py'
paper = {'_delete_': True, 'instance/mAP': 4.3}
weights = 'table2/instance_ade_zsseg'
test_dataloader = dict(dataset=dict(seen='none'))
