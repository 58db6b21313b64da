"""Install mmcv with its compiled ops into the Python that runs this.

    python tools/install_mmcv.py mmcv==2.1.0 --cache FOLDER

Takes the wheel kept in FOLDER, else one that pip finds, else builds one from
the sources and keeps it. Each of mmcv's C++ files reads all headers of torch,
which is most of the work, so the files are joined: a few units include them.

That is done only to sources whose SHA-256 is listed below. With others, or
where the joined files do not compile, the exit status is 3, the last line says
why, and nothing is installed: `--one-by-one` then builds as mmcv's authors do.
`--cuda` does so too: there nvcc takes most of the time, and flags stay theirs.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import version
from pathlib import Path

KNOWN = (
    'd387bcab66b467479b6660310e23746cfc79c6e57acf04094680adb499a5cd3f',
    '8704978a3d492b15cc058742ac3165bd1bcc2dd20678da9ed39e0da3048e3045',
)  # mmcv-2.1.0.tar.gz and onedl_mmcv-2.3.6.tar.gz
FOLDER = 'mmcv/ops/csrc/pytorch'
# Of `pytorch/cpu`: they define names or macros that others, or each other,
# define too. So one to a unit, at its end, after a quarter of the others that
# it gets on with.
LAST = ('psamask', 'roi_align', 'roi_align_rotated', 'rotated_feature_align')
# Python's own come first: setuptools drops them where CFLAGS is set, and with
# them -DNDEBUG, without which `pixel_group` ends the process. CFLAGS of the
# user come last and win.
FLAGS = f'{sysconfig.get_config_var("CFLAGS")} -O1 -g0'
PIP = (sys.executable, '-m', 'pip', '--disable-pip-version-check')


class NotJoined(Exception):
    """The files cannot be joined; the message says why."""


def kept_folder(cache: Path, requirement: str, cuda: str) -> Path:
    """Name the folder of the wheel for this torch, Python, CUDA and script."""
    script = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    for_torch = f'torch-{version("torch")}_{"cuda-" + cuda if cuda else "cpu"}'
    for_python = sysconfig.get_config_var('SOABI')
    return cache / f'{requirement}_{for_torch}_{for_python}_{script[:8]}'


def pip(command: str, *arguments: str | Path, flags: str = '') -> None:
    """Run pip, which may compile with flags, its output on the screen."""
    # torch looks for ninja on the PATH; it lies beside this Python.
    folders = (str(Path(sys.executable).parent), os.environ.get('PATH', ''))
    environment = {**os.environ, 'PATH': os.pathsep.join(folders)}
    if flags:
        environment['CFLAGS'] = f'{flags} {environment.get("CFLAGS", "")}'
    words = [*PIP, command, '--no-deps', *map(str, arguments)]
    subprocess.run(words, check=True, env=environment)


def download(requirement: str, folder: Path, from_source: bool) -> Path:
    """Fetch a wheel, or the sources where pip finds none or shall not."""
    options = ['--progress-bar', 'off', '--no-build-isolation']
    if from_source:
        options += ['--no-binary', requirement.partition('==')[0]]
    pip('download', '--dest', folder, *options, requirement)
    (path,) = folder.iterdir()
    return path


def unpack(sdist: Path, folder: Path) -> Path:
    """Unpack sources that are known, and return their root."""
    digest = hashlib.sha256(sdist.read_bytes()).hexdigest()
    if digest not in KNOWN:
        raise NotJoined(f'{sdist.name} is not one of the files known here')
    shutil.unpack_archive(sdist, folder)
    (root,) = folder.iterdir()
    return root


def join_files(root: Path) -> None:
    """Put units that include them in place of the C++ files.

    mmcv's `setup.py` compiles whatever `.cpp` files the two folders hold.
    """
    ops, cpu = root / FOLDER, root / FOLDER / 'cpu'
    last = [cpu / f'{stem}.cpp' for stem in LAST]
    if not (ops / 'pybind.cpp').exists() or not all(map(Path.exists, last)):
        raise NotJoined(f'the C++ files of {root.name} lie elsewhere')
    rest = sorted(set(cpu.glob('*.cpp')) - set(last))
    size = -(-len(rest) // len(last))
    parts = [
        [*rest[i * size : (i + 1) * size], file] for i, file in enumerate(last)
    ]
    rest = sorted(ops.glob('*.cpp'))
    parts += [rest[::2], rest[1::2]]
    for number, files in enumerate(parts):
        lines = [f'#include "{file.stem}.inc"\n' for file in files]
        for file in files:
            file.rename(file.with_suffix('.inc'))
        unit = files[0].with_name(f'unit_{number}.cpp')
        unit.write_text(''.join(lines))


def build(sdist: Path, scratch: Path, one_by_one: bool) -> Path:
    """Build the wheel, with ninja's progress on the screen."""
    wheels = scratch / 'wheels'
    options = ('-v', '--no-cache-dir', '--no-build-isolation', '-w', wheels)
    if one_by_one:
        pip('wheel', *options, sdist)
    else:
        root = unpack(sdist, scratch / 'sources')
        join_files(root)
        try:
            pip('wheel', *options, root, flags=FLAGS)
        except subprocess.CalledProcessError:
            raise NotJoined('the joined files did not compile') from None
    (wheel,) = wheels.iterdir()
    return wheel


def keep(wheel: Path, folder: Path) -> None:
    """Copy a wheel where the next checkout looks, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as beside:
        Path(shutil.copy(wheel, beside)).replace(folder / wheel.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('requirement')
    parser.add_argument('--cache', type=Path, required=True)
    parser.add_argument('--cuda', default='', help='its release and GPUs')
    parser.add_argument('--one-by-one', action='store_true')
    parser.add_argument('--from-source', action='store_true')
    args = parser.parse_args()

    kept = kept_folder(args.cache, args.requirement, args.cuda)
    found = None if args.from_source else next(kept.glob('*.whl'), None)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if found is None:
            folder = scratch / 'downloads'
            found = download(args.requirement, folder, args.from_source)
        if found.suffix != '.whl':
            found = build(found, scratch, args.one_by_one or bool(args.cuda))
            keep(found, kept)
        pip('install', '--force-reinstall', found)


if __name__ == '__main__':
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)  # pip has said why
    except NotJoined as error:
        print(error)
        sys.exit(3)
