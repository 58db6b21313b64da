"""What the site shows that is no Markdown file of its folder.

The README is its home, the notebook a page, and a link that leads out of
`docs` (a file of the checkout, which the site does not hold) plain text.
"""

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = 'first_five_minutes'
FENCE = {'code': '```python\n{}\n```', 'markdown': '{}'}


def home_page() -> str:
    """The README, as if it were a file of `docs`."""
    text = (ROOT / 'README.md').read_text('utf-8')
    text = re.sub(r'\[([^\]]*)\]\((?!docs/|\w+://|#)[^)]+\)', r'\1', text)
    return text.replace('](docs/', '](')


def notebook_page(path: Path) -> str:
    """The cells of a notebook without outputs, as Markdown."""
    cells = json.loads(path.read_text('utf-8'))['cells']
    return '\n\n'.join(
        FENCE[cell['cell_type']].format(''.join(cell['source']))
        for cell in cells
    )


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from other files."""
    notebook = Path(config.docs_dir) / f'{NOTEBOOK}.ipynb'
    made = {
        'index.md': home_page(),
        f'{NOTEBOOK}.md': notebook_page(notebook),
    }
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Send links to what became a page there; drop those out of `docs`."""
    markdown = markdown.replace('](../README.md', '](index.md')
    markdown = markdown.replace(f']({NOTEBOOK}.ipynb', f']({NOTEBOOK}.md')
    return re.sub(r'\[([^\]]*)\]\(\.\./[^)]+\)', r'\1', markdown)
