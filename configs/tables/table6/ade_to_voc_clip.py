"""Table 6, ADE20K to VOC2012, CLIP.

Every class of VOC2012 counts as unseen.
Test, with the weights of table2/instance_ade_clip.py:
    tools/test.py configs/tables/table6/ade_to_voc_clip.py CKPT
"""

_base_ = './coco_to_voc_clip.py'
paper = {'_delete_': True, 'semantic/mIoU': 67.1}
weights = 'table2/instance_ade_clip'
