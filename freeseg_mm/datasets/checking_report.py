"""The outcome of a check as lines to read."""

from .checking import SplitCheck


def summarise(outcome: SplitCheck) -> list[str]:
    """What is wrong with a data set, one line each, then what is in it."""
    lines = [f'broken {finding}' for finding in outcome.findings]
    count = len(outcome.findings)
    lines.append(
        f'{outcome.loader} ({outcome.ann_file}): '
        + (f'{count:,} broken' if count else 'nothing is broken')
    )
    images = f'  {outcome.num_images:,} images read'
    if outcome.num_unused:
        images += (
            f', {outcome.num_unused:,} of them without a label that training '
            'may use'
        )
    if outcome.without_annotation:
        images += f'; {outcome.without_annotation:,} have no annotation'
    lines.append(images)
    if outcome.vocabulary is not None:
        lines += _classes(outcome)
    if outcome.labelled:
        share = 100 * outcome.agreeing / outcome.labelled
        lines.append(
            f'  semantic and panoptic truth agree on {share:.2f} % of the '
            'pixels that both label'
        )
    return lines


def _classes(outcome: SplitCheck) -> list[str]:
    vocabulary = outcome.vocabulary
    assert vocabulary is not None
    rows = list(
        zip(
            vocabulary.names,
            vocabulary.is_thing,
            vocabulary.is_seen,
            strict=True,
        )
    )
    things = sum(outcome.segments[n] for n, is_thing, _ in rows if is_thing)
    stuff = outcome.segments.total() - things
    occurring = set(+outcome.segments | +outcome.crowds)
    never = [name for name, _, _ in rows if name not in occurring]
    only_crowds = [
        name
        for name, _, _ in rows
        if name in occurring and not outcome.segments[name]
    ]
    parts = []
    for title, wanted in (('seen', True), ('unseen', False)):
        names = {name for name, _, is_seen in rows if is_seen is wanted}
        if names:
            parts.append(f'{len(names & occurring)} of {len(names)} {title}')
    lines = [
        f'  {things:,} objects of things, {stuff:,} segments of stuff, '
        f'{outcome.crowds.total():,} crowds',
        f'  classes that occur: {", ".join(parts)}',
    ]
    # Names of ADE20K have commas.
    if only_crowds:
        lines.append(f'  as crowds alone: {"; ".join(only_crowds)}')
    if never:
        lines.append(f'  never: {"; ".join(never)}')
    return lines
