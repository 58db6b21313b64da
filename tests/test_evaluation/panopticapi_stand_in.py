"""Lets mmdet's panoptic metric run where panopticapi is not installed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from mmdet.evaluation.functional import panoptic_utils
from mmdet.evaluation.metrics import coco_panoptic_metric

# behind what is installed
sys.path.append(str(Path(__file__).resolve().parent.parent / 'stand_ins'))

from panopticapi.evaluation import VOID, PQStat  # noqa: E402
from panopticapi.utils import id2rgb, rgb2id  # noqa: E402


@contextmanager
def with_panopticapi() -> Iterator[None]:
    """Let mmdet's metric run, with panopticapi or with what is here."""
    if coco_panoptic_metric.panopticapi is not None:
        yield
        return
    with (
        mock.patch.multiple(panoptic_utils, PQStat=PQStat, rgb2id=rgb2id),
        mock.patch.multiple(
            coco_panoptic_metric,
            create=True,
            panopticapi=True,
            VOID=VOID,
            PQStat=PQStat,
            id2rgb=id2rgb,
            rgb2id=rgb2id,
        ),
    ):
        yield
