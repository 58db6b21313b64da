from download_trees import *  # noqa: F403
