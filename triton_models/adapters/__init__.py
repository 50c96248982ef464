"""Models that others trained, computed by diffusers' networks and schedulers and stepped by our own loop.

Each family has a file. What comes out is what the family's pipeline in diffusers makes of the same seed.
"""

from __future__ import annotations

from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

# Progress goes to whoever asked for a clip, not to the log.
diffusers_logging.disable_progress_bar()
transformers_logging.disable_progress_bar()
