from inference_fixtures import *  # noqa: F403
