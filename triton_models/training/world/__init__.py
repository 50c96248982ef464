"""The rendered world: captioned clips and the events that make their sound, from a seed.

`scene.py` says what there can be, `grammar.py` samples a scene and says it in words (of `words.py`), `render.py` draws
it (objects itself, `face.py` a talking face, `backdrop.py` and `landscape.py` what is around them, under the light and
weather of `sky.py`, seen through the camera of `view.py`), `motion.py` says where things are and what is heard when,
and `sound.py` makes the sound. A scene has no size, rate or length: these are chosen when it is drawn.
"""
