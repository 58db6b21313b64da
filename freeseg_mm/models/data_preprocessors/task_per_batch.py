"""One task per iteration on each rank (Sec. 3.1)."""

from mmdet.structures import SampleList
from torch import Tensor, nn

from freeseg_mm.registry import MODELS


@MODELS.register_module()
class TaskPerBatch(nn.Module):
    """Let all images of a batch train the task that the first one drew.

    Draws are uniform and independent, so the batch's task is uniform too.
    """

    def forward(
        self, inputs: Tensor, data_samples: SampleList
    ) -> tuple[Tensor, SampleList]:
        """Write the first sample's ``task`` into all; images stay as is."""
        for sample in data_samples:
            sample.set_metainfo({'task': data_samples[0].task})
        return inputs, data_samples
