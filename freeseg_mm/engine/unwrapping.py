"""The model itself, whatever a run has wrapped it in."""

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from freeseg_mm.models.segmentors import FreeSeg


def model_of(runner: Runner) -> FreeSeg:
    """The FreeSeg that a runner trains or tests, in one or many processes."""
    model = runner.model
    return model.module if is_model_wrapper(model) else model
