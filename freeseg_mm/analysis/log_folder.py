"""The log of a work folder, whatever number of runs wrote it."""

from pathlib import Path

from .log_file import Log, read_log

_LOG = Path('vis_data') / 'scalars.json'


def read_run(path: Path) -> Log:
    """Read a log file, or the newest training of a work folder.

    Each start of ``tools/train.py`` makes a folder named after its time. A
    resumed run is joined with the one before it, of which what it logged up
    to the resumed iteration counts. Tests, which log no training, are
    passed over.

    Args:
        path: A log, a work folder, or one of its time-stamped folders.

    Raises:
        FileNotFoundError: If there is no such file, or no log in the folder.
        ValueError: If a file is no log.
    """
    if not path.is_dir():
        return read_log(path)
    if (path / _LOG).is_file():
        return read_log(path / _LOG)
    files = sorted(path.glob(f'*/{_LOG}'), reverse=True)
    logs = (read_log(file) for file in files if file.stat().st_size)
    trainings = (log for log in logs if log.steps)
    joined = next(trainings, None)
    if joined is None:
        raise FileNotFoundError(
            f'no log of a training in {path}; expected '
            f'{path / "TIME" / _LOG}, which tools/train.py writes'
        )
    while joined.start and (earlier := next(trainings, None)):
        joined = earlier.until(joined.start).followed_by(joined)
    return joined
