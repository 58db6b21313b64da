from types import SimpleNamespace

from freeseg_mm.models.predict_options import PredictOptions
from freeseg_mm.shapes.mode_scores import score_modes


class FakeModel:
    """Predicts its mode; remembers whether it was in eval mode."""

    def __init__(self):
        self.predict_options = PredictOptions()
        self.is_eval = False

    def eval(self):
        self.is_eval = True

    def test_step(self, batch, options):
        assert self.is_eval
        return [(options.mode, image) for image in batch]


class FakeEvaluator:
    """Counts what it got since it was last asked."""

    def __init__(self):
        self.got = []

    def process(self, data_samples, data_batch):
        assert [image for _, image in data_samples] == data_batch
        self.got += data_samples

    def evaluate(self, size):
        got, self.got = self.got, []
        assert len(got) == size
        return {'modes': {mode for mode, _ in got}, 'images': len(got)}


class FakeLoader(list):
    dataset = range(5)


def test_each_mode_is_tested_on_all_images():
    model = FakeModel()
    loop = SimpleNamespace(
        dataloader=FakeLoader([[1, 2], [3, 4], [5]]),
        evaluator=FakeEvaluator(),
    )
    scores = score_modes(model, loop, {'q': 'query', 'both': 'geometric'})
    assert scores == {
        'q': {'modes': {'query'}, 'images': 5},
        'both': {'modes': {'geometric'}, 'images': 5},
    }
