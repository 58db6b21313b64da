from freeseg_mm.datasets.preparation.labelled_split import summarize_labels
from freeseg_mm.structures import Task, Vocabulary

WORDS = Vocabulary.from_names(
    ['cat', 'sky', *(f'word {index}' for index in range(10))], things=['cat']
)


def record(*segments):
    return {
        'size': [10, 20],
        'annotation': {
            'segments_info': [
                {'category_id': category, 'iscrowd': crowd, 'area': area}
                for category, crowd, area in segments
            ]
        },
    }


def test_summary_by_hand():
    # 400 pixels, 50 + 100 + 150 labelled; one thing that is no crowd
    records = [record((1, 0, 50), (1, 1, 100)), record((2, 0, 150))]
    assert summarize_labels('train', records, WORDS, list(Task)) == [
        'train: 2 images, 3 segments, 1 of them single objects',
        '  classes that occur: 2 of 12; absent: word 0; word 1; word 2; '
        'word 3; word 4; word 5; word 6; word 7, ...',
        '  unlabelled: 25.00 % of the pixels',
        '  serves for: semantic, instance, panoptic',
    ]


def test_reason_for_fewer_tasks_and_no_absent_class():
    few = WORDS.subset([0, 1], 'few')
    records = [record((1, 1, 100), (2, 0, 100))]
    lines = summarize_labels(
        'val', records, few, [Task.SEMANTIC], 'no objects'
    )
    assert lines[1] == '  classes that occur: 2 of 2'
    assert lines[2:] == [
        '  unlabelled: 0.00 % of the pixels',
        '  serves for: semantic (no objects)',
    ]
