"""The blocks of code in the docs, for those who test them."""

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ['BLOCKS', 'PAGES', 'REPO', 'Block', 'blocks', 'read_blocks']

REPO = Path(__file__).resolve().parent.parent
PAGES = [*sorted(REPO.glob('docs/**/*.md')), REPO / 'README.md']


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    text: str

    @property
    def is_config(self):
        """A whole config, or what a page adds to one."""
        return '_base_' in self.text or bool(
            re.match(r'(model|\w+_dataloader) = dict\(', self.text)
        )

    @property
    def file_name(self):
        """Of a module, from a first comment such as `# my_parts.py`."""
        found = re.match(r'# (\w+\.py)\n', self.text)
        return found and found[1]

    def __str__(self):
        return f'{self.page}:{self.line}'


def read_blocks(path):
    text = path.read_text('utf-8')
    for found in re.finditer(
        r'^( *)```([^\n`]*)\n(.*?)^\1```$', text, re.DOTALL | re.MULTILINE
    ):
        line = text.count('\n', 0, found.start()) + 1
        yield Block(path.name, line, found[2].strip(), found[3])


BLOCKS = [block for path in PAGES for block in read_blocks(path)]


def blocks(language):
    return [block for block in BLOCKS if block.language == language]
