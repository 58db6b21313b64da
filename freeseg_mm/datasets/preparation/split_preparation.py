"""Preparing one split: what every data set's preparation does alike."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from freeseg_mm.utils.files import file_sizes, read_json, require_free_space
from freeseg_mm.utils.journal import Journal
from freeseg_mm.utils.parallel import parallel_map


@dataclass(frozen=True)
class DatasetLayout:
    """Paths of one split in the format every dataset of the package has.

    Attributes:
        root: Folder of the dataset.
        split: Name of the split, ``train2017`` for example.
    """

    root: Path
    split: str

    @property
    def vocabulary(self) -> Path:
        """The classes, a file for ``Vocabulary.load``."""
        return self.root / 'vocabulary.json'

    @property
    def images(self) -> Path:
        """Folder of the images."""
        return self.root / self.split

    @property
    def annotations(self) -> Path:
        """Folder of everything below."""
        return self.root / 'annotations'

    @property
    def panoptic_json(self) -> Path:
        """COCO-panoptic JSON over the whole vocabulary."""
        return self.annotations / f'panoptic_{self.split}.json'

    @property
    def panoptic_pngs(self) -> Path:
        """Folder of the segment id PNGs, 0 is void."""
        return self.annotations / f'panoptic_{self.split}'

    @property
    def instances_json(self) -> Path:
        """COCO instances JSON, things only."""
        return self.annotations / f'instances_{self.split}.json'

    @property
    def semantic_pngs(self) -> Path:
        """Folder of the class index PNGs, 255 is ignored."""
        return self.annotations / f'semantic_{self.split}'

    @property
    def merge_report(self) -> Path:
        """JSON of where the pixels of each class came from."""
        return self.annotations / f'merge_report_{self.split}.json'

    @property
    def journal(self) -> Path:
        """Records of an unfinished preparation."""
        return self.annotations / f'.unfinished_{self.split}.jsonl'

    def make_folders(self) -> None:
        """Create the folders the annotations go to."""
        self.panoptic_pngs.mkdir(parents=True, exist_ok=True)
        self.semantic_pngs.mkdir(parents=True, exist_ok=True)


Say = Callable[[str], None]


class ImageToPrepare(Protocol):
    """What has to be known of an image to tell whether it is done."""

    @property
    def id(self) -> int:
        """Id of the image in the JSON files."""

    @property
    def file_name(self) -> str:
        """Of the image, for messages."""

    @property
    def png_name(self) -> str:
        """Of the panoptic PNG."""

    @property
    def label_name(self) -> str:
        """Of the semantic PNG."""


Image = TypeVar('Image', bound=ImageToPrepare)


class SplitPreparation(ABC, Generic[Image]):
    """Makes the annotations of one split, in parallel and resumable.

    Each image gives a record: a JSON object with ``image_id`` and whatever
    :meth:`write` needs. Records of finished images survive an interruption
    in a journal, later in the files that :meth:`write` makes.

    Attributes:
        layout: Where everything goes.
        images: What is prepared, in order.
        subject: JSON object that says from what and by which rule; work done
            under another one counts for nothing.
        verb: What is done to an image, for messages.
        has_semantic: Whether there are semantic PNGs.
    """

    verb = 'prepare'
    has_semantic = True

    def __init__(
        self,
        layout: DatasetLayout,
        images: Sequence[Image],
        subject: Mapping[str, Any],
    ) -> None:
        self.layout = layout
        self.images = images
        # as it will be read back: JSON has no tuples
        self.subject = json.loads(json.dumps(subject))

    @abstractmethod
    def image_worker(self) -> Callable[[Image], dict[str, Any]]:
        """A small picklable function: write an image's PNGs, give a record."""

    @abstractmethod
    def estimate_bytes(self, todo: Sequence[Image]) -> int:
        """About how much a run that prepares these images will write."""

    @abstractmethod
    def place_files(self, workers: int) -> None:
        """Link or copy what needs no preparation."""

    @abstractmethod
    def write(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Write the split's JSON files from the records of all images."""

    def is_whole(self) -> bool:
        """Whether all that :meth:`write` writes is there."""
        return self.layout.panoptic_json.is_file()

    def finished_records(
        self, content: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Records from the panoptic JSON of an earlier run."""
        return content['annotations']

    def is_done(self, image: Image) -> bool:
        """Whether what was made of an image is still good."""
        return True

    def run(self, workers: int, say: Say) -> tuple[list[dict[str, Any]], int]:
        """Prepare what is missing.

        Returns:
            The records of all images, in order, and how many images this
            run prepared.

        Raises:
            FileExistsError: If the target holds something else already.
            OSError: If the disk is too small.
            ValueError: If a file is damaged or does not fit the others.
        """
        self.layout.make_folders()
        finished = self._read_finished()
        with Journal(self.layout.journal, self.subject) as journal:
            done = {
                record['image_id']: record
                for record in [*finished, *journal.records]
            }
            todo = self._unfinished(done)
            num_bytes = self.estimate_bytes(todo)
            say(
                f'{self.layout.split}: {len(todo):,} of '
                f'{len(self.images):,} images to {self.verb}, about '
                f'{num_bytes / 1e9:.3f} GB to write'
            )
            require_free_space(self.layout.root, num_bytes)
            self.place_files(workers)
            results = parallel_map(
                self.image_worker(),
                todo,
                workers=workers,
                description=f'{self.verb} {self.layout.split}',
                name=_name_image,
            )
            for record in results:
                journal.append(record)
                done[record['image_id']] = record
            records = [done[image.id] for image in self.images]
            if todo or not finished or not self.is_whole():
                self.write(records)
            journal.remove()
        return records, len(todo)

    def _read_finished(self) -> list[dict[str, Any]]:
        path = self.layout.panoptic_json
        if not path.exists():
            return []
        content = read_json(path, ['annotations'])
        prepared = content.get('info', {}).get('prepared')
        if prepared is None:
            raise FileExistsError(
                f'{path} was not written by this preparation; choose another '
                'target'
            )
        return (
            self.finished_records(content) if prepared == self.subject else []
        )

    def _unfinished(self, done: Mapping[int, Any]) -> list[Image]:
        panoptic = file_sizes(self.layout.panoptic_pngs)
        semantic = file_sizes(self.layout.semantic_pngs)
        return [
            image
            for image in self.images
            if image.id not in done
            or image.png_name not in panoptic
            or (self.has_semantic and image.label_name not in semantic)
            or not self.is_done(image)
        ]


def _name_image(image: ImageToPrepare) -> str:
    return f'image {image.file_name}'
