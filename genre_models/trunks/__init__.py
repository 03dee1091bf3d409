"""Pretrained networks of ``keras.applications`` as makers of features. Importing this package loads nothing heavy.

`registry` names them, `facts` says what they cost, `network` and `weights` load them, `front` leads from cached features to their input,
`handle` is what a family is given, `prepare` fills the caches before a search.
"""
