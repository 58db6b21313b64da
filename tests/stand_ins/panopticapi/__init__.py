"""The few names that mmdet's panoptic metric takes from panopticapi.

That package is not on PyPI, so most systems lack it. The counting itself is
mmdet's; what is missing are sums of counts and the id encoding.
"""
