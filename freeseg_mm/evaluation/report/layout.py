"""How a table of the paper is laid out, whatever its numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Column:
    """One metric of a table.

    Attributes:
        title: Head of the column.
        metric: Our name of the metric, as ``semantic/mIoU_seen``.
        source: Which of a row's configs it is of; rows of one data set have
            the single source ``''``.
    """

    title: str
    metric: str
    source: str = ''


@dataclass(frozen=True)
class Row:
    """One method or setting.

    Attributes:
        labels: The cells before the first metric.
        section: Heading between rows that it stands under, may be empty.
        configs: By source, the rows under ``configs/tables`` that give the
            cells, as ``table1/semantic_coco_ours``; several if each answers
            another task.
        cited: By source, the numbers that the paper took from others, one
            for each column of the source, percent.
    """

    labels: tuple[str, ...]
    section: str = ''
    configs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cited: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table of the paper, rows and columns in its order."""

    number: int
    title: str
    label_titles: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def columns_of(self, source: str) -> list[Column]:
        """The columns of one source, in order."""
        return [column for column in self.columns if column.source == source]
