from inference_fixtures import *  # noqa: F403
from zoo_fixtures import *  # noqa: F403
