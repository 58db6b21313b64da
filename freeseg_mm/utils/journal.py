"""Notes of finished work, so that an interrupted run can go on."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any

from .files import (
    atomic_path,
    make_folder,
    naming_errors,
    parse_json,
    write_json,
)

_CHUNK = 1 << 20


class Journal:
    """Records appended to a file of JSON lines as soon as they are made.

    The first line says what the records are of. Records of anything else
    (other input, other rules) and a last line cut short by an interruption
    are dropped on opening.

    Use as a context manager; iterate over it for the records, those of
    earlier runs included, which are read anew from the file each time.

    Args:
        path: The file.
        subject: What the records are of; JSON has to hold it.
    """

    def __init__(self, path: Path, subject: Mapping[str, Any]) -> None:
        self._path = path
        # as it is read back: tuples are lists
        self._subject = json.loads(json.dumps(subject))
        self._count = 0

    @staticmethod
    def subject_of(path: Path) -> Any:
        """Read what a file's records are of; ``None`` of nothing.

        Raises:
            ValueError: If its first line is no JSON.
        """
        if not path.is_file():
            return None
        with path.open('rb') as file, naming_errors(path):
            first = file.readline()
            return parse_json(first) if first.endswith(b'\n') else None

    def __enter__(self) -> 'Journal':
        if self.subject_of(self._path) == self._subject:
            self._count = self._drop_half_a_line() - 1
        else:
            self._count = 0
            with atomic_path(self._path) as name:
                name.write_text(json.dumps(self._subject) + '\n', 'utf-8')
        self._file = open(self._path, 'a', encoding='utf-8')
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with self._path.open('rb') as file, naming_errors(self._path):
            next(file)
            for line in file:
                if line.endswith(b'\n'):  # else it is being written
                    yield parse_json(line)

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record; it survives a kill of this process."""
        self._file.write(json.dumps(record) + '\n')
        self._file.flush()
        self._count += 1

    def remove(self) -> None:
        """Delete the file once its content is safe elsewhere."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _drop_half_a_line(self) -> int:
        """Cut off what is behind the last line break; counts the lines."""
        count = size = 0
        with self._path.open('rb+') as file:
            for line in file:
                if line.endswith(b'\n'):
                    count, size = count + 1, size + len(line)
            file.truncate(size)
        return count


class StampState(Enum):
    """State of a step's results."""

    ABSENT = 'nothing is there'
    OTHER = 'results of other or unknown inputs, or a part, are there'
    STARTED = 'the step began with these inputs and did not finish'
    FINISHED = 'the results of these inputs are there, unchanged'


class RunStamp:
    """Record of a long step, by which its results can be used again.

    Inputs are compared as a whole; outputs must be the bytes that were there
    when the step finished.

    Args:
        path: The stamp, a JSON file; its folder is made when needed.
        inputs: All that decides the results. JSON has to hold it; objects
            of other types count by their text.
        outputs: The files that the step writes.
        partial: Files that the step leaves on the way, as checkpoints to
            resume from.
    """

    def __init__(
        self,
        path: Path,
        inputs: Mapping[str, Any],
        outputs: Iterable[Path],
        partial: Iterable[Path] = (),
    ) -> None:
        self.path = path
        # as they are read back: tuples are lists
        self.inputs = json.loads(json.dumps(inputs, default=str))
        self.outputs = list(outputs)
        self._partial = list(partial)

    def state(self) -> StampState:
        """Compare what is there with what is wanted.

        Raises:
            ValueError: If the stamp is no JSON object.
        """
        stamp = self._read()
        if stamp is None:
            files = [*self.outputs, *self._partial]
            is_there = any(path.exists() for path in files)
            return StampState.OTHER if is_there else StampState.ABSENT
        if stamp.get('inputs') != self.inputs:
            return StampState.OTHER
        if stamp.get('outputs') == self._digests():
            return StampState.FINISHED
        return StampState.STARTED

    def run(self, step: Callable[[], object]) -> bool:
        """Do a step unless its results are there.

        Args:
            step: The step; where it began before, it may resume.

        Returns:
            Whether the step was done now.

        Raises:
            FileNotFoundError: If the step did not write an output.
            ValueError: If the stamp is no JSON object.
        """
        if self.state() is StampState.FINISHED:
            return False
        self._write(None)
        step()
        missing = [str(path) for path in self.outputs if not path.is_file()]
        if missing:
            raise FileNotFoundError(f'the step did not write {missing}')
        self._write(self._digests())
        return True

    def _digests(self) -> dict[str, str]:
        return {
            path.name: file_digest(path)
            for path in self.outputs
            if path.is_file()
        }

    def _read(self) -> dict[str, Any] | None:
        if not self.path.is_file():
            return None
        try:
            stamp = parse_json(self.path.read_bytes())
        except ValueError:
            stamp = None
        if not isinstance(stamp, dict):
            raise ValueError(
                f'{self.path} is no JSON object; it notes what the results '
                'beside it were made from: delete it and them'
            )
        return stamp

    def _write(self, outputs: dict[str, str] | None) -> None:
        make_folder(self.path.parent)
        stamp = {'inputs': self.inputs, 'outputs': outputs}
        write_json(stamp, self.path, indent=1)


def file_digest(path: Path) -> str:
    """Digest of the bytes of a file, 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open('rb') as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def json_digest(content: Any) -> str:
    """Digest of what JSON can hold, 16 hexadecimal digits.

    Objects of other types count by their text.
    """
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode('utf-8')).hexdigest()[:16]
