"""Tables of ``rich`` as plain text."""

from rich.console import Console
from rich.table import Table

_WIDEST = 10_000  # columns; a table takes no more than it needs


def render_table(table: Table) -> str:
    """Render a table at its full width, for logs and files.

    Returns:
        Lines without colours, trailing blanks and a line break at the end.
        Brackets and colons in cells stay as they are.
    """
    console = Console(
        width=_WIDEST,
        color_system=None,
        markup=False,
        emoji=False,
        highlight=False,
    )
    with console.capture() as captured:
        console.print(table)
    return '\n'.join(line.rstrip() for line in captured.get().splitlines())
