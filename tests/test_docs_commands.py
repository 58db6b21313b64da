"""Every command in the docs is one that its program understands."""

import argparse
import inspect
import re
import runpy
import shlex
from collections import defaultdict

import pytest
from docs_blocks import REPO, blocks
from mmdet.models.backbones import ResNet
from mmengine.config import Config, DictAction
from mmengine.optim import OptimWrapper

from freeseg_mm.cli.main import build_parser
from freeseg_mm.models.heads import FreeSegHead
from freeseg_mm.utils.run_config import check_options

# Programs that are not ours; the rest of their line is not checked. Targets
# of `make` are, in test_docs.py.
OTHERS = {
    'curl',
    'export',
    'for',
    'done',
    'ln',
    'make',
    'pip',
    'sbatch',
    'source',
    'tensorboard',
    'trtexec',
    'wait',
}
PYTHONS_OWN = {'-', '-m'}  # a program from standard input, a module


def commands_of(text, variables):
    """Split lines as a shell does; heredocs are left out.

    A page is read in one shell: what it sets in ``variables`` stays set.
    """
    commands, pending, end = [], '', None
    text = re.sub(r'\$\((?:[^()]|\([^)]*\))*\)', 'FILE', text)
    for line in text.replace('\\\n', ' ').splitlines():
        if end is not None:
            end = None if line == end else end
            continue
        pending += line + '\n'
        if heredoc := re.search(r"<<'?(\w+)'?", line):
            end = heredoc[1]
        for name, value in variables.items():
            pending = pending.replace(f'${name}', value)
        try:
            words = shlex.split(pending, comments=True)
        except ValueError:  # within quotes
            continue
        pending = ''
        while words and (
            found := re.fullmatch(r'(\w+)=(.*)', words[0], re.DOTALL)
        ):
            variables[found[1]] = found[2]
            words = words[1:]
        if words:
            commands.append(words)
    assert not pending, pending
    return commands


def commands_of_table():
    """Commands in the second column of the README's table."""
    text = (REPO / 'README.md').read_text('utf-8')
    return re.findall(
        r'^\| .* \| `((?:python tools|freeseg-mm).*)` \|$', text, re.MULTILINE
    )


VARIABLES = defaultdict(dict)
COMMANDS = {
    f'{block}, {number}: {" ".join(words)[:60]}': words
    for block in blocks('bash')
    for number, words in enumerate(
        commands_of(block.text, VARIABLES[block.page])
    )
    if words[0] not in OTHERS and not PYTHONS_OWN & set(words[1:2])
} | {
    f'README.md, table: {line[:60]}': shlex.split(line)
    for line in commands_of_table()
}


class Parsed(BaseException):
    """Ends a tool once it has understood its arguments."""


@pytest.fixture
def parse(monkeypatch, capsys):
    """Give a tool its arguments; what it understood."""
    understand = argparse.ArgumentParser.parse_args

    def stop(*arguments):
        raise Parsed(understand(*arguments))

    def run(script, arguments):
        monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', stop)
        monkeypatch.setattr('sys.argv', [str(script), *arguments])
        try:
            runpy.run_path(str(REPO / script), run_name='__main__')
        except Parsed as parsed:
            return parsed.args[0]
        except SystemExit as error:
            pytest.fail(f'{script} refuses: {error} {capsys.readouterr().err}')

    return run


def tool_of(words):
    """Script and arguments of a command, launchers seen through."""
    # a placeholder, and a shell's own
    words = [word for word in words if word not in ('OPTIONS', '&')]
    if words[0] == 'python':
        words = words[1:]
    script, *arguments = words
    script = re.sub(r'.+/(?=tools/)', '', script)  # of an installed package
    if script == 'tools/dist_train.sh':
        config, _, *rest = arguments
        return 'tools/train.py', [config, *rest]
    if script == 'tools/launch.sh':
        assert arguments[:2] == ['slurm', 'pseudo-labels']
        _, _, config, weights, out, *rest = arguments[2:]
        made = ['pseudo-labels', 'make', config, weights, '--out', out]
        return 'freeseg-mm', [*made, *rest]
    if script == 'tools/dist_test.sh':
        config, checkpoint, _, *rest = arguments
        return 'tools/test.py', [config, checkpoint, *rest]
    return script, arguments


def test_commands_are_found():
    assert len(COMMANDS) > 60
    assert len(commands_of_table()) > 8
    scripts = {tool_of(words)[0] for words in COMMANDS.values()}
    assert {'freeseg-mm', 'tools/train.py', 'tools/test.py'} <= scripts


@pytest.mark.parametrize('name', COMMANDS)
def test_command_is_understood(name, parse):
    script, arguments = tool_of(COMMANDS[name])
    if script == 'freeseg-mm':
        args = build_parser().parse_args(arguments)
    else:
        args = parse(script, arguments)
    options = getattr(args, 'cfg_options', None)
    config = getattr(args, 'config', None)
    if options and config and (REPO / config).is_file():
        check_options(Config.fromfile(REPO / config), options)


def options_of_table():
    """Options in the table of docs/train.md, by name."""
    text = (REPO / 'docs/train.md').read_text('utf-8')
    rows = '\n'.join(re.findall(r'^\| .* \|$', text, re.MULTILINE))
    words = shlex.split(' '.join(re.findall(r'`([\w.]+=[^`]+)`', rows)))
    return dict(word.split('=', 1) for word in words)


def test_options_of_the_table():
    config = Config.fromfile(REPO / 'configs/freeseg/coco.py')
    options = options_of_table()
    assert len(options) > 15
    check_options(config, options)
    one_task = DictAction._parse_iterable(
        options['train_dataloader.dataset.tasks']
    )
    assert one_task == ('semantic',)
    # arguments that the config leaves at their defaults
    optional = {
        'model.backbone.with_cp': ResNet,
        'model.panoptic_head.with_cp': FreeSegHead,
        'optim_wrapper.accumulative_counts': OptimWrapper,
    }
    for name in options:
        *parents, last = name.split('.')
        node = config
        for part in parents:
            node = node[int(part) if part.isdigit() else part]
        if name in optional:
            assert last in inspect.signature(optional[name]).parameters
        else:
            assert last in node, name


def test_parser_refuses_what_a_tool_does_not_know(parse):
    with pytest.raises(pytest.fail.Exception, match='unrecognized arguments'):
        parse('tools/train.py', ['config.py', '--no-such-switch'])
