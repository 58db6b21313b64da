"""Files that are whole or absent: atomic writing, checked reading, links.

And those that come with the package, where OpenMMLab keeps them: in
``freeseg_mm/.mim``, folders in a wheel, links in a checkout.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .coco_types import entry_problems

PACKAGE_FILES = (
    (Path(__file__).resolve().parents[1] / '.mim/configs').resolve().parent
)
"""Folder of ``configs`` and ``tools``: the checkout, or a wheel's ``.mim``."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a name to write to; it becomes ``path`` if the block succeeds.

    A file of the final name is therefore always whole, even after the
    process was killed. The temporary name depends on ``path`` alone, so what
    a killed run left behind is overwritten by the next.
    """
    partial_path = path.with_name(f'.partial-{path.name}')
    try:
        yield partial_path
        os.replace(partial_path, path)
    finally:
        partial_path.unlink(missing_ok=True)


def make_folder(path: Path) -> Path:
    """Make a folder, and those above, unless it is there.

    Raises:
        OSError: Naming it, if it cannot be made, as where a file or a link
            that leads nowhere has its name.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = str(error.strerror)
        if os.path.islink(error.filename or ''):
            why = f'{error.filename} is a link that leads nowhere'
        raise OSError(
            error.errno,
            f'cannot make this folder ({why}); choose another',
            str(path),
        ) from error
    return path


def write_json(content: Any, path: Path, indent: int | None = None) -> None:
    """Write an object as JSON, whole or not at all.

    Args:
        content: Object for :func:`json.dump`; key order is kept.
        path: File to write, in a folder that exists.
        indent: Spaces per level for human readers; ``None`` is compact.
    """
    separators = (',', ':') if indent is None else (',', ': ')
    with atomic_path(path) as name, open(name, 'w', encoding='utf-8') as file:
        json.dump(content, file, indent=indent, separators=separators)
        file.write('\n')


def write_text(text: str, path: Path) -> None:
    """Write UTF-8 text, whole or not at all; makes the folder."""
    make_folder(path.parent)
    with atomic_path(path) as name:
        name.write_text(text, 'utf-8')


def require_writable(path: Path) -> None:
    """Look, before long work, whether its file can be written.

    Raises:
        OSError: If it cannot, or is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(f'{path} is a folder, expected a file')
    make_folder(path.parent)
    probe = path.with_name(f'.partial-{path.name}')
    try:
        probe.touch()
    finally:
        probe.unlink(missing_ok=True)


def read_json(
    path: Path,
    lists: Sequence[str] = (),
    remedy: str = 'download or unpack it again',
    check_entries: bool = True,
) -> dict[str, Any]:
    """Read a JSON object, and check the types in COCO's lists.

    Args:
        path: The file.
        lists: Keys it must have, each with a list.
        remedy: Advice for a damaged file, for the message.
        check_entries: Whether a value of a wrong type is an error, see
            :func:`entry_problems`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON object, a list is missing, or an entry
            has a value of a wrong type.
    """
    require_file(path)
    try:
        content = parse_json(path.read_bytes())
    except ValueError as error:
        raise ValueError(
            f'{path} is not JSON ({error}); is it complete? {remedy}'
        ) from error
    if not isinstance(content, dict):
        raise ValueError(
            f'{path}: expected a JSON object, got {type(content).__name__}'
        )
    missing = [key for key in lists if not isinstance(content.get(key), list)]
    if missing:
        raise ValueError(
            f'{path}: expected lists under the keys {list(lists)}, none '
            f'under {missing}; is it the right file?'
        )
    for key in lists if check_entries else ():
        for index, entry in enumerate(content[key]):
            for problem in entry_problems(entry, key, f'{key}[{index}]'):
                raise ValueError(f'{path}: {problem}')
    return content


def parse_json(text: str | bytes, **options: Any) -> Any:
    """Parse JSON of somebody else.

    Args:
        text: The JSON.
        options: Those of :func:`json.loads`.

    Raises:
        ValueError: If it is none, also where Python gives up on its depth.
    """
    try:
        return json.loads(text, **options)
    except RecursionError:
        raise ValueError('it is nested too deeply') from None


@contextmanager
def naming_errors(path: Path) -> Iterator[None]:
    """Name a file in the errors that its content raises.

    Raises:
        ValueError: If an entry lacks a key, or the block refuses a value.
    """
    try:
        yield
    except KeyError as error:
        raise ValueError(f'{path}: an entry lacks the key {error}') from error
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def require_file(path: Path) -> None:
    """Raise FileNotFoundError unless there is such a file."""
    if not path.is_file():
        raise FileNotFoundError(f'missing file {path}')


def file_sizes(folder: Path) -> dict[str, int]:
    """Bytes of each file in a folder by file name; no folder, no files."""
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        return {
            entry.name: entry.stat().st_size
            for entry in entries
            if entry.is_file()
        }


def require_files(
    names: Sequence[str], present: dict[str, int], where: Path
) -> None:
    """Raise FileNotFoundError if a folder lacks some files.

    Args:
        names: File names that are needed.
        present: Files that are there, see :func:`file_sizes`.
        where: The folder, for the message.
    """
    missing = [name for name in names if name not in present]
    if missing:
        raise FileNotFoundError(
            f'missing file {where / missing[0]}; {len(missing)} of '
            f'{len(names)} files are missing there'
        )


def require_free_space(folder: Path, num_bytes: int) -> None:
    """Raise OSError if the disk of a folder has less room than needed."""
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise OSError(
            f'{folder}: about {num_bytes / 1e9:.1f} GB are needed but only '
            f'{free / 1e9:.1f} GB are free; free some or choose another disk'
        )


def link(source: Path, target: Path) -> None:
    """Make ``target`` a symbolic link to ``source``, relative if possible.

    Raises:
        FileExistsError: If ``target`` is there and is anything else.
    """
    source = source.resolve()
    if target.is_symlink() and target.resolve() == source:
        return
    if target.is_symlink() or target.exists():
        raise FileExistsError(
            f'{target} exists and is no link to {source}; remove it, or '
            'copy instead'
        )
    try:
        name = os.path.relpath(source, target.parent.resolve())
    except ValueError:  # different drives
        name = str(source)
    target.symlink_to(name, target_is_directory=source.is_dir())


def place(
    source: Path,
    target: Path,
    copy: bool,
    names: Sequence[str] | None = None,
) -> None:
    """Link a file or folder to where it belongs, or copy it there.

    Args:
        source: File or folder to place.
        target: Its new path.
        copy: Whether to copy rather than link; files that are there in the
            same length are left alone.
        names: Files of a folder to copy; default all that lie directly in
            it.

    Raises:
        FileExistsError: If the target is there and is something else.
    """
    if not copy:
        link(source, target)
    elif source.is_dir():
        copy_folder(source, target, names)
    else:
        copy_file(source, target)


def copy_folder(
    source: Path, target: Path, names: Sequence[str] | None = None
) -> None:
    """Copy the files of a folder; those already there are left alone.

    Raises:
        FileExistsError: If ``target`` is a link, or no folder.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise FileExistsError(
            f'{target} exists and is no folder to copy into; remove it'
        )
    make_folder(target)
    # the command line reads this module before it knows what it does
    from tqdm import tqdm

    names = sorted(file_sizes(source)) if names is None else names
    for name in tqdm(names, f'copying {target.name}', unit='file'):
        make_folder((target / name).parent)
        copy_file(source / name, target / name)


def bytes_to_copy(
    source: Path, target: Path, names: Sequence[str] | None = None
) -> int:
    """Bytes of a folder's files that :func:`copy_folder` would copy."""
    names = list(file_sizes(source)) if names is None else names
    return sum(
        (source / name).stat().st_size
        for name in names
        if not _is_copied(source / name, target / name)
    )


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all; an equally long one is left alone.

    Raises:
        FileExistsError: If ``target`` is a link.
    """
    if target.is_symlink():
        raise FileExistsError(f'{target} exists and is a link; remove it')
    if not _is_copied(source, target):
        with atomic_path(target) as name:
            shutil.copy2(source, name)


def _is_copied(source: Path, target: Path) -> bool:
    return target.is_file() and (
        target.stat().st_size == source.stat().st_size
    )


def find_path(path: str | Path) -> Path:
    """Find a file or folder, such as ``configs/freeseg/coco.py``.

    Args:
        path: Where it is, or below ``PACKAGE_FILES`` where nothing is there.

    Returns:
        The path that exists; ``path`` itself if neither does.
    """
    here = Path(path)
    there = PACKAGE_FILES / here
    return there if there.exists() and not here.exists() else here


def config_roots() -> Iterator[Path]:
    """Folders of configs and runs: here, then the package or its checkout."""
    yield Path()
    if Path.cwd() != PACKAGE_FILES:
        yield PACKAGE_FILES
