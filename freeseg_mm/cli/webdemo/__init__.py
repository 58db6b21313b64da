"""A page to try words on an image; only ``page`` and ``server`` need gradio.

``form`` reads what a user gave, ``answering`` asks the network, ``views`` and
``legend_table`` say what is shown, ``page`` lays it out.
"""
