import pytest
from PIL import Image

from freeseg_mm.cli.webdemo.form import Form, Limits, read_form
from freeseg_mm.shapes import shapes_vocabulary

pytest.importorskip('gradio')

from freeseg_mm.cli.webdemo.page import write_examples  # noqa: E402


def test_examples_are_complete_forms(tmp_path):
    examples = write_examples(tmp_path)
    assert len(examples) >= 3
    names = shapes_vocabulary().names
    for example in examples:
        with Image.open(example.image) as image:
            assert image.size == (128, 128)
        form = Form(str(example.image), example.classes, example.things)
        request = read_form(form, Limits())
        assert set(request.things or ()) <= set(names)
    assert any('|' in example.classes for example in examples)


def test_scenes_are_those_of_the_benchmark(tmp_path, shapes_world):
    """Scene 3 of its test split, which is drawn there at another size."""
    first, *_ = write_examples(tmp_path)
    assert first.image.name == 'scene_3.png'
    with Image.open(first.image) as image:
        ours = image.resize((16, 16), Image.Resampling.BOX)
    with Image.open(shapes_world / 'val/000003.jpg') as image:
        theirs = image.resize((16, 16), Image.Resampling.BOX)
    difference = sum(
        abs(a - b)
        for a, b in zip(ours.tobytes(), theirs.tobytes(), strict=True)
    )
    assert difference / (16 * 16 * 3) < 40
