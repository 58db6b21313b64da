import pytest
from mmengine.config import Config

from freeseg_mm.recipes.ablation import read_row, read_rows, run_digests


def test_reads_what_a_config_notes(write_config):
    trained = write_config('whole')
    row = read_row(
        write_config('tuned', "paper_row = 'table4/x'\nweights = 'whole'\n")
    )

    assert row.name == 'tuned'
    assert row.paper_row == 'table4/x'
    assert row.weights == trained
    assert row.max_iters == 4
    assert read_row(trained).weights == trained
    assert read_row(trained).paper_row is None


def test_row_of_the_paper_stands_for_itself(repo):
    path = repo / 'configs/tables/table4/ablation_5_prompt_tuning.py'
    row = read_row(path)

    assert row.paper_row == 'table4/ablation_5_prompt_tuning'
    assert row.weights == path.with_name('ablation_4_interaction.py')


def test_weights_may_be_of_another_table(repo):
    row = read_row(repo / 'configs/tables/table7/multi_task.py')

    expected = 'configs/tables/table4/ablation_4_interaction.py'
    assert row.weights == repo / expected


@pytest.mark.parametrize(
    ('text', 'changes_training', 'changes_test'),
    [
        ('randomness = dict(seed=3)', False, False),
        ("work_dir = 'elsewhere'", False, False),
        ("paper_row = 'table4/x'", False, False),
        ("train_dataloader['dataset']['pseudo_labels'] = 'x'", False, False),
        ("train_dataloader['dataset']['tasks'] = ['x']", True, False),
        ("train_cfg['val_interval'] = 9", False, False),
        ("train_cfg['max_iters'] = 9", True, False),
        ("model['test_cfg']['score'] = 0.5", False, True),
        ("model['width'] = 9", True, True),
    ],
)
def test_digests_tell_runs_apart(
    write_config, text, changes_training, changes_test
):
    one = run_digests(Config.fromfile(write_config('one')))
    other = run_digests(Config.fromfile(write_config('other', text + '\n')))

    assert (one[0] != other[0]) == changes_training
    assert (one[1] != other[1]) == changes_test


def test_options_count(write_config):
    path = write_config('one')
    changed = read_row(path, {'model.width': 16})

    assert changed.training != read_row(path).training
    assert changed.training == read_row(write_config('two', width=16)).training
    with pytest.raises(KeyError, match='model.breadth.x: the config has no '):
        read_row(path, {'model.breadth.x': 16})


def test_names_are_unique(write_config, tmp_path):
    path = write_config('one')
    twin = tmp_path / 'one.py'
    twin.write_text(path.read_text())

    with pytest.raises(ValueError, match='several configs are named one; r'):
        read_rows([path, twin])


def test_missing_files_are_named(write_config, tmp_path):
    with pytest.raises(FileNotFoundError, match='no config file.*gone.py'):
        read_row(tmp_path / 'gone.py')
    path = write_config('lost', "weights = 'gone'\n")
    with pytest.raises(
        FileNotFoundError, match="has weights = 'gone', but there is neither"
    ):
        read_row(path)


def test_length_has_to_be_known(write_config):
    with pytest.raises(ValueError, match='train_cfg.max_iters is None; an ab'):
        read_row(write_config('endless', max_iters=None))


def test_rows_on_shapes_stand_for_rows_of_the_paper(repo):
    paths = sorted((repo / 'configs/ablations').glob('*.py'))
    rows = {row.name: row for row in read_rows(paths)}

    stand_for = {row.paper_row for row in rows.values()} - {None}
    assert all((repo / f'configs/tables/{r}.py').is_file() for r in stand_for)
    assert {row.split('/')[0] for row in stand_for} == {'table4', 'table7'}
    for name, row in rows.items():
        of, _, how = name.rpartition('_')
        if how in ('query', 'shared'):
            assert row.paper_row is None
            assert row.teacher is None
            assert row.weights == rows[of].weights
            assert row.training == rows[of].training
            assert row.test != rows[of].test
    teacher = rows['shapes_self_training'].teacher
    assert teacher == rows['shapes_interaction'].config
