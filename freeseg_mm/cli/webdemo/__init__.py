"""A page to try class names on an image; ``page`` and ``server`` need gradio.

``form`` checks the fields of the page, ``predictor`` predicts them, ``views``
draws the predictions, ``page`` lays them out and ``server`` serves the page.
"""
