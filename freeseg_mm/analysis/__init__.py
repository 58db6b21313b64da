"""Analysis of runs: test results, logs, the paper's tables, and costs.

``results`` (where no checkpoint is tested), ``paper_tables`` and the logs
need no model; ``cost`` measures models.
"""
