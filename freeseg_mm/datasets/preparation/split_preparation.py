"""Preparation of one split: parallel, resumable, the same for all datasets."""

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from freeseg_mm.utils.files import (
    file_sizes,
    make_folder,
    naming_errors,
    read_json,
    require_file,
    require_free_space,
)
from freeseg_mm.utils.journal import Journal
from freeseg_mm.utils.parallel import parallel_map

from .target_vocabulary import write_builtin_vocabulary

Say = Callable[[str], None]


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
        """JSON of COCO alone: the source of the pixels of each class."""
        return self.annotations / f'merge_report_{self.split}.json'

    @property
    def journal(self) -> Path:
        """Records of an unfinished preparation."""
        return self.annotations / f'.unfinished_{self.split}.jsonl'

    def make_folders(self) -> None:
        """Create the folders of the PNGs."""
        for folder in (self.panoptic_pngs, self.semantic_pngs):
            make_folder(folder)


@dataclass(frozen=True)
class SourceImage:
    """An image with the sources of its ground truth.

    Attributes:
        id: Id of the image in the JSON files.
        file_name: Name of the image, from the folder of images.
        labels: Label files that the ground truth is read from.
        content: Entries about the image in a JSON file.
    """

    id: int
    file_name: str
    labels: tuple[Path, ...] = ()
    content: Any = field(default=None, compare=False)

    @property
    def png_name(self) -> str:
        """Name of the PNGs made of it; folders become part of the name."""
        return '-'.join(Path(self.file_name).with_suffix('.png').parts)


@dataclass(frozen=True)
class PreparedSplit:
    """Outcome of the preparation of one split.

    Attributes:
        summary: Content of the split, lines to print.
        num_written: Images whose annotations this run wrote; 0 if all was
            there.
    """

    summary: list[str]
    num_written: int


class SplitPreparation(ABC):
    """Makes the annotations of one split, in parallel and resumable.

    Each image gives a record: a JSON object with ``image_id`` and whatever
    :meth:`write` needs. Records of finished images survive an interruption
    in a journal, later in the files that :meth:`write` makes.

    Attributes:
        layout: Paths of everything written.
        images: The images to prepare, in order.
        subject: JSON object of the sources and the rule; work done under
            another one counts for nothing.
        verb: Name of the work in messages.
        has_semantic: Whether there are semantic PNGs.
    """

    verb = 'prepare'
    has_semantic = True

    def __init__(
        self,
        layout: DatasetLayout,
        images: Sequence[SourceImage],
        subject: Mapping[str, Any],
    ) -> None:
        self.layout = layout
        self.images = images
        # as it will be read back: JSON has no tuples
        self.subject = json.loads(json.dumps(subject))

    @abstractmethod
    def image_worker(self) -> Callable[[SourceImage], dict[str, Any]]:
        """A small picklable function: write an image's PNGs, give a record."""

    @abstractmethod
    def estimate_bytes(self, todo: Sequence[SourceImage]) -> int:
        """Estimate the bytes that preparing these images will write."""

    @abstractmethod
    def place_files(self) -> None:
        """Link or copy what needs no preparation."""

    @abstractmethod
    def write(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Write the split's JSON files from the records of all images."""

    @abstractmethod
    def summarize(self, records: Sequence[Mapping[str, Any]]) -> list[str]:
        """Describe the content of the split in lines to print."""

    def is_whole(self) -> bool:
        """Tell whether all that :meth:`write` writes is there."""
        return self.layout.panoptic_json.is_file()

    def finished_records(
        self, content: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Records from the panoptic JSON of an earlier run."""
        return content['annotations']

    def is_done(self, image: SourceImage) -> bool:
        """Tell whether the files made of an image are still good."""
        return True

    def run(self, workers: int, say: Say) -> PreparedSplit:
        """Prepare what is missing.

        Args:
            workers: Number of processes.
            say: Takes a line about the work and the disk space it needs.

        Raises:
            FileExistsError: If the target holds something else already.
            OSError: If the disk is too small.
            ValueError: If a file is damaged or does not fit the others.
        """
        self.layout.make_folders()
        finished = self._read_finished()
        with Journal(self.layout.journal, self.subject) as journal:
            done = {
                record['image_id']: record for record in [*finished, *journal]
            }
            todo = self._unfinished(done)
            num_bytes = self.estimate_bytes(todo)
            say(
                f'{self.layout.split}: {len(todo):,} of '
                f'{len(self.images):,} images to {self.verb}, about '
                f'{num_bytes / 1e9:.3f} GB to write'
            )
            require_free_space(self.layout.root, num_bytes)
            self.place_files()
            results = parallel_map(
                self.image_worker(),
                todo,
                workers=workers,
                description=f'{self.verb} {self.layout.split}',
                name=lambda image: f'image {image.file_name}',
            )
            for record in results:
                journal.append(record)
                done[record['image_id']] = record
            records = [done[image.id] for image in self.images]
            if todo or not finished or not self.is_whole():
                self.write(records)
            journal.remove()
        return PreparedSplit(self.summarize(records), len(todo))

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

    def _unfinished(self, done: Mapping[int, Any]) -> list[SourceImage]:
        panoptic = file_sizes(self.layout.panoptic_pngs)
        semantic = file_sizes(self.layout.semantic_pngs)
        return [
            image
            for image in self.images
            if image.id not in done
            or image.png_name not in panoptic
            or (self.has_semantic and image.png_name not in semantic)
            or not self.is_done(image)
        ]


def prepare_builtin(
    vocabulary: str,
    target: Path,
    splits: Sequence[SplitPreparation],
    workers: int,
    say: Say,
) -> list[PreparedSplit]:
    """Prepare the splits of a dataset with a built-in vocabulary.

    Args:
        vocabulary: Name of the vocabulary; a copy goes into ``target``.
        target: Folder of the dataset.
        splits: The splits, all read already.
        workers: Number of processes.
        say: Takes a line about the work and the disk space it needs.
    """
    make_folder(target)
    write_builtin_vocabulary(vocabulary, target)
    return [split.run(workers, say) for split in splits]


def refuse_source_as_target(source: Path, target: Path) -> None:
    """Raise ValueError if a download would be written into."""
    if source.resolve() == target.resolve():
        raise ValueError(
            f'source and target are both {source}; the official files would '
            'be overwritten, choose another target'
        )


def require_count(found: int, official: int, subset: bool, where: str) -> None:
    """Raise ValueError unless there are as many images as there should be."""
    if not found:
        raise ValueError(f'{where}: there are no images')
    if not subset and found != official:
        raise ValueError(
            f'{where} has {found:,} images, officially {official:,}; if it '
            'is meant to be a part, pass --subset'
        )


def read_list(path: Path) -> list[str]:
    """Names of images without their ending, of a list with one a line.

    Args:
        path: Text; of a line the first word counts, of which folders and
            ending are left out.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no UTF-8, names nothing or an image twice.
    """
    require_file(path)
    with naming_errors(path):
        lines = path.read_text('utf-8-sig').splitlines()
    stems = [Path(line.split()[0]).stem for line in lines if line.strip()]
    twice = [stem for stem, count in Counter(stems).items() if count > 1]
    if twice:
        raise ValueError(f'{path} lists {twice[:5]} more than once')
    if not stems:
        raise ValueError(f'{path} is empty, expected an image a line')
    return stems


def numbered(
    names: Sequence[str], labels: Sequence[tuple[Path, ...]]
) -> list[SourceImage]:
    """Images with the ids 1, 2, ... in the order given."""
    return [
        SourceImage(index, name, files)
        for index, (name, files) in enumerate(
            zip(names, labels, strict=True), 1
        )
    ]
