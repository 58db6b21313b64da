"""`make setup`: what it runs, skips, and says when something is missing.

Real pip is far too slow here, so a stand-in Python answers the script: it
notes every call and fails where a test says so.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

TOOLS = (
    'bash env awk cat cut df dirname grep mkdir nproc rm sed sha256sum sleep '
    'sort tail wc cp ln chmod printf'
)
INPUTS = (
    'setup.cfg',
    'pyproject.toml',
    'tools/setup.sh',
    'tools/install_mmcv.py',
)
FAKE_PYTHON = r"""#!/usr/bin/env bash
# Stand-in for Python: $FAKE holds its version, its calls and its faults.
case "$*" in
  *version_info*) cat "$FAKE/version"; exit 0 ;;
  *get_path*include*) printf '%s/Python.h\n' "$FAKE"; exit 0 ;;
  *get_path*purelib*) printf '%s/site\n' "$FAKE"; exit 0 ;;
  *torch.version.cuda*) echo 13.0; exit 0 ;;
  *'version("opencv-python")'*) echo 5.0; exit 0 ;;
  *'import cv2'*)
    [ ! -e "$FAKE/no_desktop" ] || { echo 'ImportError: libGL.so.1'; exit 1; }
    exit 0 ;;
  *ensurepip*) [ ! -e "$FAKE/no_venv" ]; exit ;;
  *'import mmcv'*)
    [ ! -e "$FAKE/broken_mmcv" ] || { cat "$FAKE/broken_mmcv"; exit 1; }
    exit 0 ;;
esac
if [ "$1 $2" = '-m venv' ]; then
  mkdir -p "${!#}/bin" && cp "$0" "${!#}/bin/python"
elif [ "$1" = '-' ]; then  # do mmcv's ops fit?
  [ -e "$FAKE/ops" ] || { echo 'ImportError: no ops'; exit 1; }
elif [ "$1 $2" = '-m pip' ] || [ "$1" = tools/install_mmcv.py ]; then
  case "$*" in *'cache dir'*) echo "$FAKE/cache"; exit 0 ;; esac
  {
    echo "$*"
    echo "  cuda=${FORCE_CUDA:-} jobs=${MAX_JOBS:-} cpath=${CPATH:-}"
  } >>"$FAKE/calls"
  case "$*" in
    *--one-by-one*) ;;
    *mmcv==*)
      . "$FAKE/build"
      if [ -e "$FAKE/not_joined" ]; then cat "$FAKE/not_joined"; exit 3; fi ;;
  esac
  case "$*" in
    *"$(cat "$FAKE/fails_at" 2>/dev/null || echo no such call)"*)
      cat "$FAKE/output"
      exit 1 ;;
  esac
  case "$*" in
    *$(cat "$FAKE/ops_come_with" 2>/dev/null || echo mmcv==)*)
      touch "$FAKE/ops" ;;
  esac
fi
"""


class Checkout:
    """A copy of what the script reads, with a fake PATH and Python."""

    def __init__(self, repo, root):
        self.root = root / 'checkout'
        self.fake = root / 'fake'
        self.bin = root / 'bin'
        for folder in (self.root / 'tools', self.fake, self.bin):
            folder.mkdir(parents=True)
        for name in INPUTS:
            shutil.copy(repo / name, self.root / name)
        shutil.copytree(repo / 'requirements', self.root / 'requirements')
        for tool in [*TOOLS.split(), 'touch']:
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.program('python3', FAKE_PYTHON)
        self.program('c++', '#!/usr/bin/env bash\n')
        self.write('version', '3.11')
        self.write('Python.h', '')
        self.write('build', '')

    def program(self, name, text):
        path = self.bin / name
        path.write_text(text, 'utf-8')
        path.chmod(0o755)

    def write(self, name, text):
        (self.fake / name).write_text(text, 'utf-8')

    def start(self, stdout=subprocess.PIPE, **env):
        self.write('calls', '')
        return subprocess.Popen(
            [self.root / 'tools' / 'setup.sh'],
            env={'PATH': str(self.bin), 'FAKE': str(self.fake), **env},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            # a shell's background processes ignore it, and so would these
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, **env):
        process = self.start(**env)
        stdout, stderr = process.communicate(timeout=60)
        return subprocess.CompletedProcess(
            process.args, process.returncode, stdout, stderr
        )

    @property
    def calls(self):
        lines = (self.fake / 'calls').read_text('utf-8').splitlines()
        return [line for line in lines if not line.startswith('  ')]

    @property
    def build_environment(self):
        lines = (self.fake / 'calls').read_text('utf-8').splitlines()
        index = next(i for i, line in enumerate(lines) if 'mmcv==' in line)
        return lines[index + 1].strip()


@pytest.fixture
def checkout(repo, tmp_path):
    return Checkout(repo, tmp_path)


def assert_fails_with(result, sentence):
    """One line of ours, without a traceback, and a non-zero status."""
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert sentence in lines[0]
    assert all(line.startswith('setup: ') for line in lines)
    assert len(lines) <= 2


def test_steps_in_order(checkout):
    result = checkout.run()
    assert result.returncode == 0, result.stderr
    build, mmcv, rest, package = checkout.calls
    assert build.endswith('-r requirements/build.txt')
    assert mmcv.startswith('tools/install_mmcv.py mmcv==2.1.0 --cache ')
    assert f'--cache {checkout.fake}/cache/freeseg_mm --cuda' in mmcv
    for name in ('mminstall', 'runtime', 'webdemo', 'tests', 'lint'):
        assert f'-r requirements/{name}.txt' in rest
    assert package.endswith('--no-build-isolation --no-deps -e .')
    assert 'for the CPU (no NVIDIA GPU answers)' in result.stdout
    assert checkout.build_environment.startswith('cuda=0 ')


def test_second_run_does_nothing(checkout):
    checkout.run()
    result = checkout.run()
    assert result.returncode == 0
    assert result.stdout == ''
    assert checkout.calls == []


@pytest.mark.parametrize('name', ['requirements/lint.txt', *INPUTS])
def test_change_of_any_input_installs_again(checkout, name):
    checkout.run()
    with (checkout.root / name).open('a') as file:
        file.write('\n# changed\n')
    result = checkout.run()
    assert 'bringing .venv (Python 3.11) up to date' in result.stdout
    assert '[2/4] mmcv 2.1.0 is there' in result.stdout
    assert len(checkout.calls) == 3


def test_failed_run_is_not_taken_for_done(checkout):
    checkout.run()
    (checkout.root / 'setup.cfg').write_text('', 'utf-8')
    checkout.write('fails_at', 'runtime.txt')
    checkout.write('output', 'ERROR: something\n')
    assert checkout.run().returncode == 1
    (checkout.fake / 'fails_at').unlink()
    checkout.run()
    assert len(checkout.calls) == 3


def test_onedl_has_pins_and_an_environment_of_its_own(checkout):
    checkout.run()
    (checkout.fake / 'ops').unlink()
    result = checkout.run(LINE='onedl')
    assert result.returncode == 0, result.stderr
    assert 'making .venv-onedl with python3' in result.stdout
    _, mmcv, rest, _ = checkout.calls
    assert ' onedl-mmcv==2.3.6 ' in mmcv
    assert '-r requirements/onedl.txt' in rest
    assert 'mminstall' not in rest
    for line in ('', 'openmmlab', 'onedl'):  # all are up to date
        assert checkout.run(LINE=line).stdout == ''


def test_unknown_line(checkout):
    result = checkout.run(LINE='OneDL')
    assert_fails_with(
        result, 'LINE=OneDL is not known; give openmmlab (the default) or oned'
    )
    assert checkout.calls == []


@pytest.mark.parametrize(
    'version', ['2.7', '3.9', '3.13 (newer than this was tried with)']
)
def test_wrong_python(checkout, version):
    checkout.write('version', version.split()[0])
    assert_fails_with(
        checkout.run(),
        'Python 3.10, 3.11 or 3.12 is needed, but python3 is ' + version,
    )
    assert_fails_with(
        checkout.run(PYTHON='python3'),
        f'is needed, but PYTHON=python3 is {version}',
    )
    assert not (checkout.root / '.venv').exists()


def test_no_python(checkout):
    (checkout.bin / 'python3').unlink()
    assert_fails_with(checkout.run(), 'is needed, but none was found')


def test_named_python_does_not_run(checkout):
    assert_fails_with(
        checkout.run(PYTHON='python3.99'), 'PYTHON=python3.99 does not run'
    )


def test_python_without_venv(checkout):
    checkout.write('no_venv', '')
    assert_fails_with(checkout.run(), 'python3 has no venv module')


def test_environment_of_another_python(checkout):
    checkout.run()
    shutil.copy(checkout.bin / 'python3', checkout.bin / 'python3.12')
    other = FAKE_PYTHON.replace('cat "$FAKE/version"', 'echo 3.12')
    checkout.program('python3.12', other)
    assert_fails_with(
        checkout.run(PYTHON='python3.12'),
        '.venv holds Python 3.11, but PYTHON=python3.12 is 3.12; delete .venv',
    )
    checkout.write('version', '3.9')
    assert_fails_with(checkout.run(), '.venv holds Python 3.9, but')


@pytest.mark.parametrize('compiler', ['c++', 'clang++ -stdlib=libc++'])
def test_no_compiler(checkout, compiler):
    (checkout.bin / 'c++').unlink()
    env = {} if compiler == 'c++' else {'CXX': compiler}
    name = compiler.split()[0]
    assert_fails_with(
        checkout.run(**env), f'no C++ compiler ({name}) was found'
    )


def test_no_python_headers(checkout):
    (checkout.fake / 'Python.h').unlink()
    assert_fails_with(checkout.run(), "Python's C headers")


def test_full_disk(checkout):
    (checkout.bin / 'df').unlink()
    checkout.program(
        'df',
        '#!/usr/bin/env bash\n'
        'echo Filesystem 1024-blocks Used Available Capacity Mounted on\n'
        'echo /dev/vda 9000000 5000000 4000000 55% /\n',
    )
    assert_fails_with(
        checkout.run(),
        f'the disk is full: 4000 MB are free in {checkout.root}, and the',
    )
    assert checkout.calls == []
    assert not (checkout.root / '.venv').exists()


def test_compiler_is_not_asked_for_once_the_ops_load(checkout):
    checkout.run()
    (checkout.bin / 'c++').unlink()
    (checkout.root / 'setup.cfg').write_text('', 'utf-8')
    assert checkout.run().returncode == 0


@pytest.mark.parametrize(
    ('fails_at', 'output', 'sentence'),
    [
        (
            'build.txt',
            'ERROR: No matching distribution found for torch==2.11.0',
            'could not be downloaded; check the network',
        ),
        (
            'mmcv==',
            'c++: fatal error: Killed signal terminated program cc1plus\n'
            'ninja: build stopped: subcommand failed.',
            'mmcv 2.1.0 ran out of memory; try MAX_JOBS=1 make setup',
        ),
        (
            'mmcv==',
            'ninja: build stopped: subcommand failed.',
            'mmcv 2.1.0 could not be compiled',
        ),
        (
            'runtime.txt',
            'OSError: [Errno 28] No space left on device',
            'the disk is full',
        ),
        (
            'requirements/build.txt',
            "ERROR: Wheel 'torch' located at /tmp/torch.whl is invalid.",
            'could not be downloaded; check the network',
        ),
        (
            'mmcv==',
            'ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIR',
            'mmcv 2.1.0 could not be downloaded; check the network',
        ),
        (
            'mmcv==',
            'cc1plus: fatal error: x.s: No space left on device\n'
            'ninja: build stopped: subcommand failed.',
            'the disk is full',
        ),
        (
            'runtime.txt',
            'ERROR: Cannot install a and b',
            'could not be installed (Cannot install a and b)',
        ),
    ],
)
def test_failure_of_pip(checkout, fails_at, output, sentence):
    checkout.write('fails_at', fails_at)
    checkout.write('output', f'Traceback (most recent call last):\n{output}\n')
    result = checkout.run()
    assert_fails_with(result, sentence)
    assert result.stderr.splitlines()[1] == 'setup: details in setup.log'
    assert output in (checkout.root / 'setup.log').read_text('utf-8')


def test_ops_that_do_not_fit_are_compiled(checkout):
    checkout.write('ops_come_with', '--from-source')
    result = checkout.run()
    assert result.returncode == 0, result.stderr
    assert 'has no ops that fit: compiling them' in result.stdout
    _, first, second, _, _ = checkout.calls
    assert '--from-source' not in first
    assert second.endswith('--from-source')


def test_sources_that_cannot_be_joined_are_compiled_one_by_one(checkout):
    checkout.write('not_joined', 'pip says this\nmmcv.zip is not known\n')
    checkout.write('ops_come_with', '--one-by-one')
    result = checkout.run()
    assert result.returncode == 0, result.stderr
    assert (
        "mmcv.zip is not known: compiling mmcv's files one by one (10-20 min"
    ) in result.stdout
    _, first, second, _, _ = checkout.calls
    assert second == f'{first} --one-by-one'


def test_no_second_attempt_without_memory(checkout):
    checkout.write('not_joined', 'Killed signal terminated program cc1plus\n')
    assert_fails_with(
        checkout.run(), 'mmcv 2.1.0 ran out of memory; try MAX_JOBS=1'
    )
    assert len(checkout.calls) == 2


def test_ops_that_never_load(checkout):
    checkout.write('ops_come_with', 'no such call')
    assert_fails_with(
        checkout.run(), 'the ops of mmcv 2.1.0 do not load: ImportError: no'
    )


def test_mmcv_broken_otherwise_is_not_compiled_again(checkout):
    checkout.write('broken_mmcv', 'ImportError: libGL.so.1: cannot open\n')
    assert_fails_with(
        checkout.run(), 'mmcv 2.1.0 does not load: ImportError: libGL.so.1'
    )
    assert len(checkout.calls) == 3


def test_opencv_without_a_desktop(checkout):
    checkout.write('no_desktop', '')
    result = checkout.run()
    assert result.returncode == 0, result.stderr
    assert (
        'opencv-python does not load here (ImportError: libGL.so.1): replacing'
    ) in result.stdout
    assert checkout.calls[3].endswith(' opencv-python-headless==5.0')


def test_compile_shows_a_live_line_on_a_terminal(checkout):
    checkout.write(
        'build', 'echo "  [41/77] c++ -MMD x.cpp -o x.o"; sleep 2.5\n'
    )
    ours, theirs = os.openpty()
    process = checkout.start(stdout=theirs)
    os.close(theirs)
    shown = b''
    with contextlib.suppress(OSError):  # how Linux ends a terminal's output
        while data := os.read(ours, 4096):
            shown += data
    os.close(ours)
    assert process.wait() == 0
    assert b'0m02s  compiled 41 of 77 files' in shown


def test_interrupt_ends_the_build(checkout):
    checkout.write('build', 'echo $$ >"$FAKE/pid"; sleep 60\n')
    process = checkout.start()
    pid_file = checkout.fake / 'pid'
    deadline = time.monotonic() + 180
    while not (pid_file.exists() and pid_file.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=180)
    assert process.returncode == 1
    assert 'interrupted; run make setup again to go on' in stderr
    process_folder = Path('/proc', pid_file.read_text().strip())
    deadline = time.monotonic() + 180
    while process_folder.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def with_gpu(checkout, release):
    home = checkout.fake / 'cuda'
    home.mkdir()
    (checkout.fake / 'site/nvidia/cu13/include').mkdir(parents=True)
    checkout.program(
        'nvidia-smi', '#!/usr/bin/env bash\nprintf "9.0\n12.0\n9.0\n"\n'
    )
    checkout.program(
        'nvcc',
        '#!/usr/bin/env bash\n'
        f'if [ "$1" = --version ]; then echo "release {release}, V1"; fi\n'
        f'if [ "$1" = --dryrun ]; then echo "#$ TOP={home}" >&2; fi\n',
    )
    return home


def test_gpu_and_nvcc_build_for_cuda(checkout):
    home = with_gpu(checkout, '13.0')
    result = checkout.run(CUDA_HOME=str(checkout.fake))
    assert f'ops for CUDA 13.0 ({home})' in result.stdout
    assert '--cuda 13.0-9.0-12.0' in checkout.calls[1]
    assert checkout.build_environment.startswith('cuda=1 ')
    # The headers of cuBLAS and the rest come with torch's own packages.
    assert checkout.build_environment.endswith(
        f'cpath={checkout.fake}/site/nvidia/cu13/include:{home}/include'
    )


@pytest.mark.parametrize(
    ('release', 'reason'),
    [
        (None, '(no nvcc was found)'),
        ('12.4', '(nvcc is 12.4, torch needs 13.0)'),
    ],
)
def test_gpu_without_fitting_nvcc_builds_for_the_cpu(
    checkout, release, reason
):
    with_gpu(checkout, release)
    if release is None:
        (checkout.bin / 'nvcc').unlink()
    result = checkout.run(CUDA_HOME=str(checkout.fake))
    assert f'ops for the CPU {reason}' in result.stdout
    assert checkout.build_environment.startswith('cuda=0 ')


def test_job_count(checkout):
    checkout.run(MAX_JOBS='3')
    assert ' jobs=3 ' in checkout.build_environment
    shutil.rmtree(checkout.root / '.venv')
    (checkout.fake / 'ops').unlink()
    checkout.run()
    jobs = int(checkout.build_environment.split('jobs=')[1].split()[0])
    assert 1 <= jobs <= os.cpu_count()


class HalfAFile(BaseHTTPRequestHandler):
    """An index of one wheel each, of which it sends the beginning only."""

    def do_GET(self):
        folder, _, name = self.path.rstrip('/').rpartition('/')
        wheel = f'{name}-80.9.0-py3-none-any.whl'
        body = f'<a href="/{wheel}">{wheel}</a>'.encode()
        self.send_response(200)
        self.send_header('Content-Type', 'text/html')
        self.send_header('Content-Length', str(len(body) if folder else 9999))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Keep the output of the tests clean."""


@pytest.fixture
def half_a_file():
    server = ThreadingHTTPServer(('127.0.0.1', 0), HalfAFile)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}/simple'
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize('mirror', ['does not answer', 'breaks off'])
def test_real_pip_without_network(checkout, mirror, half_a_file):
    """The one test with real Python and pip."""
    for name in ('python3', 'c++'):
        (checkout.bin / name).unlink()
    (checkout.bin / 'c++').symlink_to(shutil.which('true'))
    url = 'http://127.0.0.1:9/simple'
    result = checkout.run(
        PYTHON=sys._base_executable,
        PIP_CONFIG_FILE=os.devnull,
        PIP_INDEX_URL=half_a_file if mirror == 'breaks off' else url,
        PIP_RETRIES='0',
        PIP_NO_CACHE_DIR='1',
    )
    assert_fails_with(result, 'could not be downloaded; check the network')
    assert 'Traceback' not in result.stdout + result.stderr
    log = (checkout.root / 'setup.log').read_text('utf-8')
    assert ('Downloading' in log) == (mirror == 'breaks off')
