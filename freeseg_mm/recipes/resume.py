"""A note beside results that says what they were made from."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20


class StampState(Enum):
    """What is known about the results of a step."""

    ABSENT = 'nothing is there'
    FOREIGN = 'results of unknown origin are there'
    OTHER = 'results of other inputs, or a part of them, are there'
    STARTED = 'the step began with these inputs and did not finish'
    FINISHED = 'the results of these inputs are there, unchanged'


class RunStamp:
    """Tells whether the results of a long step can be used again.

    The inputs are compared as a whole; the outputs must be the bytes that
    were there when the step finished.

    Args:
        path: The note, a JSON file; its folder is made when needed.
        outputs: The files the step writes.
    """

    def __init__(self, path: Path, outputs: Sequence[Path]) -> None:
        self.path = path
        self.outputs = list(outputs)

    def state(self, inputs: Mapping[str, Any]) -> StampState:
        """Compare what is there with what is wanted.

        Args:
            inputs: All that decides the results, as JSON can hold it.

        Raises:
            ValueError: If the note is no JSON object.
        """
        note = self._read()
        if note is None:
            there = any(path.exists() for path in self.outputs)
            return StampState.FOREIGN if there else StampState.ABSENT
        if note.get('inputs') != _as_json(inputs):
            return StampState.OTHER
        if note.get('outputs') == self._digests():
            return StampState.FINISHED
        return StampState.STARTED

    def start(self, inputs: Mapping[str, Any]) -> None:
        """Note that results of these inputs are in the making."""
        self._write({'inputs': _as_json(inputs), 'outputs': None})

    def finish(self, inputs: Mapping[str, Any]) -> None:
        """Note that the results are complete.

        Raises:
            FileNotFoundError: If an output is missing.
        """
        missing = [str(path) for path in self.outputs if not path.is_file()]
        if missing:
            raise FileNotFoundError(f'the step did not write {missing}')
        self._write({'inputs': _as_json(inputs), 'outputs': self._digests()})

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
            note = json.loads(self.path.read_text('utf-8'))
        except ValueError:
            note = None
        if not isinstance(note, dict):
            raise ValueError(
                f'{self.path} is no JSON object; it notes what the results '
                'beside it were made from: delete it and them'
            )
        return note

    def _write(self, note: Mapping[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(note, indent=1) + '\n', 'utf-8')


def file_digest(path: Path) -> str:
    """Digest of the bytes of a file, 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open('rb') as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _as_json(content: Mapping[str, Any]) -> Any:
    """Equal to what is read back: tuples as lists."""
    return json.loads(json.dumps(content))
