"""Journal of finished work, so that an interrupted run can go on."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any

from .files import atomic_path, naming_errors, parse_json


class Journal:
    """Records appended to a file of JSON lines as soon as they are made.

    The first line says what the records are of. Records of anything else
    (other input, other rules) and a last line cut short by an interruption
    are dropped on opening.

    Use as a context manager; :attr:`records` holds those of earlier runs.

    Attributes:
        records: Records in the file when it was opened, in order.
    """

    def __init__(self, path: Path, subject: dict[str, Any]) -> None:
        self._path = path
        self._subject = subject
        self.records: list[dict[str, Any]] = []

    def __enter__(self) -> 'Journal':
        self.records = self._read()
        with atomic_path(self._path) as name:
            lines = [json.dumps(x) for x in (self._subject, *self.records)]
            name.write_text('\n'.join([*lines, '']), 'utf-8')
        self._file = open(self._path, 'a', encoding='utf-8')
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def append(self, record: dict[str, Any]) -> None:
        """Add a record; it survives a kill of this process."""
        self._file.write(json.dumps(record) + '\n')
        self._file.flush()

    def remove(self) -> None:
        """Delete the file once its content is safe elsewhere."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _read(self) -> list[dict[str, Any]]:
        if not self._path.is_file():
            return []
        text = self._path.read_text('utf-8')
        # Text after the last line break was cut short.
        whole, _, _ = text.rpartition('\n')
        with naming_errors(self._path):
            lines = [parse_json(line) for line in whole.splitlines()]
        return lines[1:] if lines[:1] == [self._subject] else []
