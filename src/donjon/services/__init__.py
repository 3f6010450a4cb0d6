"""The long-running programs. Each builds its own objects in its `run.py` and serves; they do not know one another."""
