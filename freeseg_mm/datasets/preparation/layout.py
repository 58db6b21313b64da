"""Where the files of a prepared dataset are."""

from dataclasses import dataclass
from pathlib import Path


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
