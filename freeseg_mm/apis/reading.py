"""From entries to images, or why there are none."""

from collections.abc import Iterator, Sequence

from .inputs import InputImage, OneImage, read_image, source_name
from .results import FailedImage
from .video import is_video, read_frames


def read_inputs(
    entries: Sequence[OneImage], every: int
) -> Iterator[InputImage | FailedImage]:
    """Read images and the frames of videos, each when it is asked for.

    Args:
        entries: Of :func:`freeseg_mm.apis.inputs.list_images`.
        every: Of a video, which frames are taken.

    Yields:
        In order; in the place of what cannot be read, why.
    """
    for index, entry in enumerate(entries):
        try:
            if is_video(entry):
                yield from read_frames(str(entry), every)
            else:
                yield read_image(entry, index)
        except (FileNotFoundError, TypeError, ValueError) as error:
            yield FailedImage(source_name(entry, index), str(error))
