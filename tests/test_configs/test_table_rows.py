"""Each row of a table differs from another in what it is there to show."""

import json
import re
from pathlib import Path

import pytest
from torch.testing import assert_close

from freeseg_mm.analysis.paper_tables import TABLES
from freeseg_mm.registry import DATASETS
from freeseg_mm.structures import Task

TABLES_FOLDER = Path(__file__).resolve().parents[2] / 'configs' / 'tables'
ROWS = sorted(
    path.relative_to(TABLES_FOLDER).with_suffix('').as_posix()
    for path in TABLES_FOLDER.glob('table*/*.py')
)
# Not rows, but what rows are compared with.
RUNS = {'coco', 'ade20k', 'voc'}
MODEL = 'parameters losses results'
# the text of the unseen classes is trained against
PSEUDO_LABELS = 'train_classes losses'
ONE_TASK = 'train_tasks test_tasks losses results'
# What each row is compared with, and where the two are not the same. Without
# an entry after the comma a row is the same run: its weights or its test are
# another row's, or a part that it stands for is not there yet.
DIFFERENCES = {
    **{
        f'table1/semantic_{short}_{row}': (run, places)
        for short, run in (('coco', 'coco'), ('ade', 'ade20k'), ('voc', 'voc'))
        for row, places in (
            ('full_sup', 'train_classes losses results'),
            ('ours', f'{PSEUDO_LABELS} results'),
        )
    },
    'table1/semantic_coco_zsseg': (
        'table7/single_semantic',
        f'{PSEUDO_LABELS} {MODEL}',
    ),
    'table1/semantic_ade_zsseg': ('ade20k', f'{ONE_TASK} parameters'),
    'table1/semantic_voc_zsseg': ('voc', f'{PSEUDO_LABELS} {MODEL}'),
    **{
        f'table{number}/{task}_{short}_{row}': (
            f'table1/semantic_{short}_{row}',
            '',
        )
        for number, task in ((2, 'instance'), (3, 'panoptic'))
        for short in ('coco', 'ade')
        for row in ('full_sup', 'ours')
    },
    'table2/instance_coco_clip': ('coco', MODEL),
    'table2/instance_ade_clip': ('ade20k', MODEL),
    'table3/panoptic_coco_clip': ('table2/instance_coco_clip', ''),
    'table3/panoptic_ade_clip': ('table2/instance_ade_clip', ''),
    'table2/instance_coco_zsseg': ('table7/single_instance', MODEL),
    'table3/panoptic_coco_zsseg': ('table7/single_panoptic', MODEL),
    'table2/instance_ade_zsseg': ('table1/semantic_ade_zsseg', ONE_TASK),
    'table3/panoptic_ade_zsseg': ('table1/semantic_ade_zsseg', ONE_TASK),
    'table4/ablation_1_no_text': ('table4/ablation_2_class_prompt', MODEL),
    'table4/ablation_2_class_prompt': ('table4/ablation_3_task_prompt', MODEL),
    'table4/ablation_3_task_prompt': ('table4/ablation_4_interaction', MODEL),
    'table4/ablation_4_interaction': ('coco', ''),
    'table4/ablation_5_prompt_tuning': (
        'table4/ablation_4_interaction',
        'results',
    ),
    **{
        f'table5/{transfer}_ours': (
            f'table1/semantic_{target}_ours',
            'test_seen results',
        )
        for transfer, target in (
            ('coco_to_ade', 'ade'),
            ('ade_to_coco', 'coco'),
        )
    },
    # CLIP's view of a mask knows nothing of seen and unseen
    **{
        f'table5/{transfer}_clip': (
            f'table2/instance_{target}_clip',
            'test_seen',
        )
        for transfer, target in (
            ('coco_to_ade', 'ade'),
            ('ade_to_coco', 'coco'),
        )
    },
    **{
        f'table5/{transfer}_zsseg_{task}': (
            f'table{number}/{task}_{target}_zsseg',
            'test_seen results',
        )
        for transfer, target in (
            ('coco_to_ade', 'ade'),
            ('ade_to_coco', 'coco'),
        )
        for number, task in enumerate(('semantic', 'instance', 'panoptic'), 1)
    },
    **{
        f'table6/{source}_to_voc_{row}': (
            f'table1/semantic_voc_{row}',
            'test_seen results',
        )
        for source in ('coco', 'ade')
        for row in ('ours', 'zsseg')
    },
    'table6/coco_to_voc_clip': ('voc', f'{MODEL} test_seen'),
    'table6/ade_to_voc_clip': ('table6/coco_to_voc_clip', ''),
    **{
        f'table7/single_{task}': ('table7/multi_task', ONE_TASK)
        for task in ('semantic', 'instance', 'panoptic')
    },
    'table7/multi_task': ('table4/ablation_5_prompt_tuning', ''),
    'table7/adaptive_prompt': ('table4/ablation_5_prompt_tuning', ''),
    'table7/fixed_prompt': ('table7/adaptive_prompt', MODEL),
}
METRICS = {
    'semantic/mIoU_seen',
    'semantic/mIoU_unseen',
    'semantic/hIoU',
    'semantic/mIoU',
    'instance/mAP_seen',
    'instance/mAP_unseen',
    'instance/mAP',
    'instance/AP50',
    'instance/AP75',
    *(
        f'panoptic/{name}{part}'
        for name in ('PQ', 'SQ', 'RQ')
        for part in ('_seen', '_unseen', '')
    ),
}


@pytest.fixture
def load_row(load_run):
    def load(name):
        folder = 'freeseg' if name in RUNS else 'tables'
        return load_run(f'{folder}/{name}.py')

    return load


@pytest.fixture(scope='module')
def made():
    return {}


def tunes_in_tests(config):
    hooks = [hook.type for hook in config.custom_hooks]
    return 'freeseg_mm.TTAPromptHook' in hooks


@pytest.fixture
def outcome(made, load_row, small_model, build_tiny_model, build_dataset):
    """What a row's data sets and its model, made small, are and do."""

    def make(name, run_once):
        config = load_row(name)
        train, test = (
            build_dataset(loader)
            for loader in (config.train_dataloader, config.test_dataloader)
        )
        words = [data.sample_vocabulary for data in (train, test)]
        model = small_model(config)
        model.test_cfg.prompt_tuning.steps = int(tunes_in_tests(config))
        key = json.dumps(
            [model, *(each.to_dict() for each in words), train.tasks],
            sort_keys=True,
            default=str,
        )
        if key not in made:
            built = build_tiny_model(model)
            state = {k: v.clone() for k, v in built.state_dict().items()}
            made[key] = (
                state,
                *run_once(built, words[1], words[0], train.tasks),
            )
        data = {
            'train_tasks': train.tasks,
            'train_classes': train.sample_vocabulary,
            'test_tasks': Task.parse_many(config.model.test_cfg.tasks),
            'test_seen': test.sample_vocabulary.is_seen,
        }
        return data, made[key]

    return make


@pytest.mark.parametrize('name', ROWS)
def test_row_differs_where_it_should(
    name, outcome, run_once, places_of_difference
):
    other, expected = DIFFERENCES[name]
    data, ran = outcome(name, run_once)
    other_data, other_ran = outcome(other, run_once)
    found = set(places_of_difference(ran, other_ran))
    found |= {place for place in data if data[place] != other_data[place]}
    assert found == set(expected.split())


# What the rows of a table claim CLIP's view of a mask is compared with.
LEARNED, CLASS_PROMPT = 'task and class prompt', 'class prompt'
SENTENCES, SENTENCE, NOTHING = 'two sentences', 'a sentence', 'nothing'
VIEWS = {
    **{
        name: SENTENCE if row == 'clip' else CLASS_PROMPT
        for name in ROWS
        if (row := name.split('/')[1].split('_')[-1]) in ('clip', 'zsseg')
        or '_zsseg' in name
    },
    'table4/ablation_1_no_text': NOTHING,
    'table4/ablation_2_class_prompt': CLASS_PROMPT,
    'table7/fixed_prompt': SENTENCES,
}


@pytest.mark.parametrize('name', ROWS)
def test_view_of_clip_is_compared_with_what_the_row_is_about(
    name, load_row, small_model, build_tiny_model, build_dataset, run_once,
    monkeypatch,
):  # fmt: skip
    config = load_row(name)
    vocabulary = build_dataset(config.test_dataloader).sample_vocabulary
    model = build_tiny_model(small_model(config))
    compare, read = model._clip_logits, []

    def listen(embeds, text, *rest):
        read.append(text)
        return compare(embeds, text, *rest)

    monkeypatch.setattr(model, '_clip_logits', listen)
    run_once(model, vocabulary, vocabulary, tasks=())
    claimed = VIEWS.get(name, LEARNED)

    if claimed == NOTHING:
        assert read == []
        return
    learner, tasks = model.prompt_learner, model.predict_options.tasks
    (text,) = read
    assert_close(text, learner(model.clip.text, vocabulary, tasks))
    learned = [key for key, _ in learner.named_parameters()]
    assert (
        learned
        == {
            LEARNED: ['class_prompt', 'task_prompt'],
            CLASS_PROMPT: ['class_prompt'],
            SENTENCES: [],
            SENTENCE: [],
        }[claimed]
    )
    if claimed in (SENTENCES, SENTENCE):
        assert learner.class_template == 'A photo of {}.'
        assert learner.depends_on_task == (claimed == SENTENCES)


def test_every_row_is_compared():
    assert set(DIFFERENCES) == set(ROWS)


@pytest.mark.parametrize('name', ROWS)
def test_file_is_short_and_tells_what_it_is(name):
    path = TABLES_FOLDER / f'{name}.py'
    text = path.read_text()
    assert len(text.splitlines()) <= 20
    docstring = text.split('"""')[1]
    number = path.parent.name.removeprefix('table')
    assert re.match(rf'Table {number}, [^\n]*\.\n\n', docstring)
    # its own command, or where its numbers come from
    named = re.findall(r'[\w/]*table\d/\w+\.py', docstring)
    assert named
    for other in named:
        assert (TABLES_FOLDER / other.removeprefix('configs/tables/')).exists()
    commands = re.findall(r'tools/(?:test.py|dist_train.sh) (\S+)', docstring)
    assert set(commands) <= {f'configs/tables/{name}.py'}
    assert commands or 'Nothing to train' in docstring


@pytest.mark.parametrize('name', ROWS)
def test_printed_numbers_have_our_names(name, load_row):
    config = load_row(name)
    assert config.paper
    assert set(config.paper) <= METRICS
    tested = {Task(task) for task in config.model.test_cfg.tasks}
    for metric, value in config.paper.items():
        assert Task(metric.split('/')[0]) in tested
        assert isinstance(value, float)
        assert 0 < value < 100
        assert round(value, 1) == value


@pytest.mark.parametrize('name', ROWS)
def test_weights_of_another_row_fit(name, load_row, outcome, run_once):
    weights = load_row(name).get('weights')
    if weights is None:
        assert 'WEIGHTS' not in (TABLES_FOLDER / f'{name}.py').read_text()
        return
    assert 'weights' not in load_row(weights)  # that one is trained
    docstring = (TABLES_FOLDER / f'{name}.py').read_text().split('"""')[1]
    own, trained = (
        {
            key: value.shape
            for key, value in outcome(each, run_once)[1][0].items()
        }
        for each in (name, weights)
    )
    assert own == trained
    # said to the reader too, there or in the row it repeats
    assert 'weights' in docstring or 'Nothing to train' in docstring


# Rows whose own training takes pseudo labels, and whose weights make them.
SELF_TRAINED = {
    **{
        f'table1/semantic_{short}_ours': f'configs/freeseg/{run}.py'
        for short, run in (('coco', 'coco'), ('ade', 'ade20k'), ('voc', 'voc'))
    },
    **dict.fromkeys(
        [f'table1/semantic_{short}_zsseg' for short in ('coco', 'voc')],
        'THIS',
    ),
}


@pytest.mark.parametrize('name', ROWS)
def test_pseudo_labels_come_with_their_command(name, load_row):
    config = load_row(name)
    assert 'lacks' not in config  # no part of the method is missing
    labels = config.train_dataloader.dataset.pseudo_labels
    docstring = (TABLES_FOLDER / f'{name}.py').read_text().split('"""')[1]
    words = ' '.join(docstring.split())
    command = re.search(
        r'freeseg-mm pseudo-labels make (\S+) \S+ --out (\S+)', words
    )
    # a row that tests the weights of another takes its labels' name along
    trained = config.get('weights', name)
    if name not in SELF_TRAINED:
        assert command is None
        assert labels is None or trained != name
        return
    assert command
    assert command.groups() == (SELF_TRAINED[name], labels)


def test_missing_pseudo_labels_name_the_command(load_row, tmp_path):
    dataset = load_row('table1/semantic_coco_ours').train_dataloader.dataset
    missing = tmp_path / 'pseudo_labels'
    dataset.pseudo_labels = str(missing)
    with pytest.raises(FileNotFoundError) as caught:
        DATASETS.build(dataset)
    assert f'pseudo-labels make CONFIG CHECKPOINT --out {missing}' in str(
        caught.value
    )


def test_stems_are_unique():
    """A run's folder is named after the stem of its config."""
    stems = [row.split('/')[1] for row in ROWS]
    assert len(set(stems)) == len(stems)


def test_tables_hold_every_row_once():
    named = [
        config
        for table in TABLES
        for row in table.rows
        for configs in row.configs.values()
        for config in configs
    ]
    assert sorted(named) == ROWS
