"""Results as files in a folder, by one process or several, in one go or not.

What a process has done is in a journal of its own; the files that all images
share are written from the journals when nothing is missing.
"""

import errno
import heapq
import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.errors import sentence_of
from freeseg_mm.utils.files import (
    atomic_path,
    make_folder,
    read_json,
    write_json,
    write_text,
)
from freeseg_mm.utils.image_files import write_label_map, write_picture
from freeseg_mm.utils.journal import Journal, json_digest
from freeseg_mm.utils.parallel import Shard

from .exchange import EXCHANGE_FORMATS
from .inputs import OneImage, is_remote, local_path, source_name
from .results import ImageError, ImageResult, categories_of, file_stem
from .video import is_video

FORMATS = ('png', 'json', 'coco', *EXCHANGE_FORMATS)
FAILURES = 'failures.json'
# Of a shard under way, and of one that is done, before and after a merge.
_JOURNAL = re.compile(r'\.predict(ing|ed)-(\d+)-of-(\d+)\.jsonl')
_STAMP = '.predicted.json'
_SHOWN = 9
# A frame's name may be that of an image: clip_000012.
_FRAME = re.compile(r'(.+)_\d{6,}')
# What a folder lacks for one image it lacks for all.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


@dataclass(frozen=True)
class Written:
    """Files of a result that were written, and what the journal says of it.

    Attributes:
        outcome: The result, or why it or its files are none.
        files: Of this result alone.
        record: Of the journal.
    """

    outcome: ImageResult | ImageError
    files: Sequence[Path]
    record: Mapping[str, Any]


class ResultWriter:
    """Writes each result in one or several formats.

    ``png``: a picture with a legend, ``pictures/NAME.png``. ``json``:
    everything about an image, ``json/NAME.json``. ``coco``: of the
    predicted tasks, ``instances.json`` (annotations with scores);
    ``panoptic.json`` and ``panoptic/NAME.png``; ``semantic/NAME.png``,
    labels. NAME is the input's, a second one becomes ``NAME_2``; of a frame
    ``NAME_000012`` with its number, of an archive's image
    ``NAME/000012_dog``. Category ids are labels + 1. Those of annotation
    tools lie in a folder of the format's name, see
    :mod:`freeseg_mm.apis.exchange`. ``failures.json`` holds
    source and reason of what failed, if anything did.

    Within :meth:`recording`, each result goes through :meth:`write`, in any
    thread, and then, in order, :meth:`append`; :meth:`finish` comes last.

    Args:
        folder: Folder to write; made if it does not exist.
        formats: Of :data:`FORMATS`.
        inputs: All inputs, of :func:`freeseg_mm.apis.inputs.list_images`;
            none of them is written over.
        vocabulary: The classes.
        shard: Share of the inputs that results come from.
        max_side: Longer side of the image in a picture.

    Raises:
        ValueError: If a format is unknown or the folder is a file.
    """

    def __init__(
        self,
        folder: Path,
        formats: Sequence[str],
        inputs: Sequence[OneImage],
        vocabulary: Vocabulary,
        *,
        shard: Shard | None = None,
        max_side: int = 1024,
    ) -> None:
        unknown = sorted(set(formats) - set(FORMATS))
        if unknown or not formats:
            raise ValueError(
                f'unknown formats {unknown}; expected some of {FORMATS}'
            )
        if folder.exists() and not folder.is_dir():
            raise ValueError(f'{folder} is a file; give a folder to write to')
        make_folder(folder)
        self.folder = folder
        self._formats = tuple(dict.fromkeys(formats))
        self._max_side = max_side
        self._shard = shard or Shard()
        names = [source_name(entry, i) for i, entry in enumerate(inputs)]
        self._names = self._shard.of(_unique_names(inputs))
        self._file_names = self._shard.of(_file_names(names))
        self._inputs = _in_folders_of(folder, inputs)
        self._subject = {
            'inputs': f'{len(names)} inputs {json_digest(names)}',
            'formats': self._formats,
            'categories': categories_of(vocabulary),
        }
        self._path = folder / f'.predicting-{self._shard.suffix}'
        self._done_path = folder / f'.predicted-{self._shard.suffix}'
        self._journal: Journal | None = None

    @contextmanager
    def recording(
        self, subject: Mapping[str, Any], *, resume: bool = False
    ) -> Iterator[int | None]:
        """Note what is written, so that an interrupted run can go on.

        Args:
            subject: All but the constructor's arguments that decides the
                results; JSON has to hold it.
            resume: Whether to go on after the results that are there.

        Yields:
            Number of results of this shard that are noted; ``None`` of one
            that is done.

        Raises:
            ValueError: If the results that are there, and that are to be
                gone on with, are of another subject.
        """
        whole = {**self._subject, **subject}
        # as it is read back
        self._prepare(json.loads(json.dumps(whole)), resume)
        if self._done_path.exists() or (self.folder / _STAMP).exists():
            yield None
            return
        with Journal(self._path, whole) as self._journal:
            yield len(self._journal)

    def _prepare(self, subject: Mapping[str, Any], resume: bool) -> None:
        """Remove what an earlier run noted, or see that it fits."""
        stamp = self.folder / _STAMP
        found = {
            path: (Journal.subject_of(path), shard.count == self._shard.count)
            for path, shard in _journals(self.folder).items()
        }
        if stamp.is_file():
            found[stamp] = read_json(stamp).get('subject'), True
        if not resume:
            own = self._path, self._done_path, stamp
            (self.folder / FAILURES).unlink(missing_ok=True)
            for path, about in found.items():
                # the other shards of this run may have begun
                if path in own or about != (subject, True):
                    path.unlink(missing_ok=True)
            return
        for path, (other, is_beside) in found.items():
            if other is not None and other != subject:
                keys = [k for k in subject if subject[k] != other.get(k)]
                raise ValueError(
                    f'{path} is of other {", ".join(keys)}; go on with what '
                    'it was begun with, or choose another folder, or begin '
                    'anew, without --resume'
                )
            if not is_beside:
                raise ValueError(
                    f'{path}: the prediction was begun in another number of '
                    f'shards than {self._shard.count}; go on with that, or '
                    'begin anew, without --resume'
                )

    def write(self, outcome: ImageResult | ImageError) -> Written:
        """Write one result; threads may do so at the same time.

        A result that would take the place of an input becomes a failure.

        Raises:
            OSError: If the disk is full or fails.
        """
        record: dict[str, Any] = {}
        files: list[Path] = []
        if isinstance(outcome, ImageResult):
            writers = {
                'png': self._write_picture,
                'json': self._write_json,
                'coco': self._write_coco,
            }
            try:
                for kind in self._formats:
                    if kind in writers:
                        paths, entries = writers[kind](outcome)
                    else:
                        paths, entries = self._write_exchange(outcome, kind)
                    files += paths
                    record |= entries
            except (OSError, ValueError) as error:
                if getattr(error, 'errno', None) in _DISK_ERRORS:
                    raise
                outcome = ImageError(
                    outcome.title, sentence_of(error), outcome.place
                )
        if isinstance(outcome, ImageError):
            record = {'source': outcome.source, 'reason': outcome.reason}
        index, number = outcome.place
        first = self._shard.number - 1
        place = [index * self._shard.count + first, number]
        return Written(outcome, files, {'place': place, **record})

    def append(self, written: Written) -> None:
        """Note that a result is there, which survives a kill."""
        assert self._journal is not None  # within `recording`
        self._journal.append(written.record)

    def finish(self) -> list[Path]:
        """Note that no result is missing, and write what all images share.

        Returns:
            The files that were written; none of one of several shards, whose
            files :func:`merge` writes.
        """
        if self._path.exists():
            self._path.rename(self._done_path)
        return merge(self.folder) if self._shard.count == 1 else []

    def _write_picture(self, result: ImageResult) -> tuple[list[Path], dict]:
        path = self._path_of(result, 'pictures', '.png')
        write_picture(result.plot(max_side=self._max_side), path)
        return [path], {}

    def _write_json(self, result: ImageResult) -> tuple[list[Path], dict]:
        path = self._path_of(result, 'json', '.json')
        write_json(result.to_json(), path)
        return [path], {}

    def _write_coco(self, result: ImageResult) -> tuple[list[Path], dict]:
        record: dict[str, Any] = {'image': self._coco_image(result)}
        paths = []
        if result.instances is not None:
            record['instances'] = result.to_coco(0)
        if result.segments is not None:
            path = self._path_of(result, 'panoptic', '.png')
            row = result.save_panoptic(path, 0, with_json=False)
            name = f'{self._name(result)}.png'
            record['panoptic'] = [{**row, 'file_name': name}]
            paths.append(path)
        if result.label_map is not None:
            path = self._path_of(result, 'semantic', '.png')
            kind = np.uint8 if len(result.vocabulary) <= 255 else np.uint16
            write_label_map(result.label_map.astype(kind), path)
            paths.append(path)
        return paths, record

    def _write_exchange(
        self, result: ImageResult, kind: str
    ) -> tuple[list[Path], dict]:
        tool, folder = EXCHANGE_FORMATS[kind], self.folder / kind
        files = tool.image_files(result, self._name(result), folder)
        paths = [self._checked(folder / file) for file in files]
        for path, text in zip(paths, files.values(), strict=True):
            write_text(text, path)
        entry = tool.entry(result, self._coco_image(result)['file_name'])
        return paths, {kind: entry} if entry else {}

    def _coco_image(self, result: ImageResult) -> dict[str, Any]:
        """COCO's entry, of a file name that no other input has."""
        name = self._file_names[result.place[0]]
        if result.frame is not None:
            name = f'{self._name(result)}.png'
        elif result.member is not None:
            name = f'{name}/{result.member}'
        return {**result.coco_image(0), 'file_name': name}

    def _name(self, result: ImageResult) -> str:
        index, number = result.place
        name = self._names[index]
        if result.frame is not None:
            return f'{name}_{result.frame:06d}'
        if result.member is not None:
            return f'{name}/{number:06d}_{result.stem}'
        return name

    def _path_of(self, result: ImageResult, folder: str, ending: str) -> Path:
        name = f'{self._name(result)}{ending}'
        return self._checked(self.folder / folder / name)

    def _checked(self, path: Path) -> Path:
        """A path that is no input's, in a folder that is there."""
        make_folder(path.parent)
        if os.path.realpath(path) in self._inputs:
            raise ValueError(
                f'{path}: the prediction would take the place of the image '
                'of that name; '
                'choose another folder to write to'
            )
        return path


def merge(folder: Path) -> list[Path]:
    """Write the files that all images share, once every shard is done.

    Memory does not grow with the number of images.

    Args:
        folder: Folder that :class:`ResultWriter` filled.

    Returns:
        The files that were written; none if all was done before.

    Raises:
        FileNotFoundError: If nothing was predicted there.
        ValueError: If a shard is missing or unfinished, or of another
            prediction.
    """
    journals = _journals(folder) if folder.is_dir() else {}
    if (folder / _STAMP).is_file():
        _remove(journals)
        return []
    if not journals:
        raise FileNotFoundError(f'{folder} holds no predictions to merge')
    count = max(shard.count for shard in journals.values())
    done = {
        shard.number: path
        for path, shard in journals.items()
        if shard.count == count and path.name.startswith('.predicted')
    }
    if len(done) < count:
        others = (str(n) for n in range(1, count + 1) if n not in done)
        missing = ', '.join(islice(others, _SHOWN))
        raise ValueError(
            f'{folder}: {count - len(done)} of {count} shards are not '
            f'finished, as {missing}; start each again, with --resume'
        )
    subject = Journal.subject_of(done[1])
    for path in done.values():
        if Journal.subject_of(path) != subject:
            raise ValueError(f'{path} is of another prediction than {done[1]}')

    def records() -> Iterator[Mapping[str, Any]]:
        parts = (Journal(path, subject) for path in done.values())
        return heapq.merge(*parts, key=lambda record: record['place'])

    tasks = dict.fromkeys(
        task
        for record in records()
        for task in ('instances', 'panoptic')
        if task in record
    )
    paths = [folder / f'{task}.json' for task in tasks]
    for task, path in zip(tasks, paths, strict=True):
        write_coco(path, records, task, subject['categories'])
    names = [category['name'] for category in subject['categories']]
    for kind in EXCHANGE_FORMATS.keys() & set(subject['formats']):
        entries = (r[kind] for r in records() if kind in r)
        shared = EXCHANGE_FORMATS[kind].shared_files(names, entries)
        for file_name, parts in shared.items():
            paths.append(folder / kind / file_name)
            make_folder(paths[-1].parent)
            with (
                atomic_path(paths[-1]) as part_path,
                part_path.open('w', encoding='utf-8') as text,
            ):
                text.writelines(parts)
    failed = folder / FAILURES
    with atomic_path(failed) as name, name.open('w', encoding='utf-8') as file:
        keys = 'source', 'reason'
        rows = ({k: r[k] for k in keys} for r in records() if 'reason' in r)
        num_failed = _write_list(file, rows)
        file.write('\n')
    if num_failed:
        paths.append(failed)
    else:
        failed.unlink()
    write_json({'subject': subject, 'failed': num_failed}, folder / _STAMP)
    _remove(journals)
    return paths


def write_coco(
    path: Path,
    records: Callable[[], Iterable[Mapping[str, Any]]],
    task: str,
    categories: Sequence[Mapping[str, Any]],
) -> None:
    """Write a COCO JSON, whole or not at all, one image after the other.

    Args:
        path: The file.
        records: Gives, each time, the images in order: ``image``, COCO's
            entry of it, and annotations under the name of the task. What
            has none is left out; images and objects are numbered from 1.
        task: ``instances`` or ``panoptic``.
        categories: COCO's categories.
    """

    def images() -> Iterator[dict[str, Any]]:
        found = (record['image'] for record in records() if task in record)
        return ({**x, 'id': n} for n, x in enumerate(found, start=1))

    def annotations() -> Iterator[dict[str, Any]]:
        number = 0
        found = (record[task] for record in records() if task in record)
        for image_id, rows in enumerate(found, start=1):
            for row in rows:
                number += 1
                # a panoptic annotation goes by its image
                own = {'id': number} if task == 'instances' else {}
                yield {**own, **row, 'image_id': image_id}

    with atomic_path(path) as name, name.open('w', encoding='utf-8') as file:
        before = '{'
        for key, rows in (
            ('images', images()),
            ('annotations', annotations()),
            ('categories', categories),
        ):
            file.write(f'{before}"{key}":')
            _write_list(file, rows)
            before = ','
        file.write('}\n')


def _write_list(file: TextIO, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write a JSON array; returns its length."""
    count, before = 0, '['
    for row in rows:
        file.write(before + json.dumps(row, separators=(',', ':')))
        count, before = count + 1, ','
    file.write(']' if count else '[]')
    return count


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _journals(folder: Path) -> dict[Path, Shard]:
    return {
        path: Shard(int(found[2]), int(found[3]))
        for path in sorted(folder.glob('.predict*'))
        if (found := _JOURNAL.fullmatch(path.name))
    }


def _unique_names(inputs: Sequence[OneImage]) -> list[str]:
    """Give each input's files a name; the same on all disks and shards."""
    stems = [file_stem(source_name(x, i)) for i, x in enumerate(inputs)]
    of_frames = {
        _as_disks_see(found[1])
        for stem in stems
        if (found := _FRAME.fullmatch(stem))
    }
    taken: set[str] = set()
    last: dict[str, int] = {}
    names = []
    for entry, stem in zip(inputs, stems, strict=True):
        name, count = stem, last.get(stem, 1)
        while (key := _as_disks_see(name)) in taken or (
            key in of_frames and is_video(entry)
        ):
            count += 1
            name = f'{stem}_{count}'
        taken.add(key)
        last[stem] = count
        names.append(name)
    return names


def _file_names(sources: Sequence[str]) -> list[str]:
    """Names of inputs for who reads them all: a file's own.

    Files of one name have the folders in which they differ before it.
    """
    own = [Path(source).name for source in sources]
    paths: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, source in zip(own, sources, strict=True):
        path = source
        if not is_remote(source):
            path = os.path.abspath(local_path(source))
        paths.setdefault(name, {})[source] = Path(path).parts
    shared = {
        name: len(os.path.commonprefix([*{*parts.values()}]))
        for name, parts in paths.items()
    }
    return [
        '/'.join(parts[shared[name] :]).lstrip('/')
        if (parts := paths[name][source])[shared[name] :]
        else name
        for name, source in zip(own, sources, strict=True)
    ]


def _in_folders_of(folder: Path, inputs: Sequence[OneImage]) -> set[str]:
    """The inputs that lie below a folder, links followed."""
    root = os.path.join(os.path.realpath(folder), '')
    parents: dict[str, str] = {}
    found = set()
    for entry in inputs:
        if isinstance(entry, str | Path) and not is_remote(str(entry)):
            path = str(local_path(str(entry)))
            parent, name = os.path.split(path)
            if parent not in parents:
                parents[parent] = os.path.realpath(parent)
            real = os.path.join(parents[parent], name)
            if os.path.islink(path):
                real = os.path.realpath(path)
            if real.startswith(root):
                found.add(real)
    return found


def _as_disks_see(name: str) -> str:
    """A key that is the same for names of which some disks make one file."""
    return unicodedata.normalize('NFC', name).casefold()
