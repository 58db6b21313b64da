import pytest
from mmengine.logging import MMLogger, print_log

from freeseg_mm.utils.quiet import quiet_logger


def test_only_what_is_grave_is_logged_meanwhile(logged):
    with quiet_logger('WARNING'):
        print_log('small talk', logger='current')
        print_log('fire', logger='current', level=30)
    print_log('small talk again', logger='current')

    assert [text for _, text in logged] == ['fire', 'small talk again']


def test_level_is_back_after_an_error(logged):
    before = MMLogger.get_current_instance().level
    with pytest.raises(KeyError), quiet_logger():
        raise KeyError
    assert MMLogger.get_current_instance().level == before
