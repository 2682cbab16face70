"""Miniature WILDS data sets; no test asks the network for anything."""

import importlib.util
import os

from tests.miniatures import call, data, miniature, offline_tokenizer, records

__all__ = ["call", "data", "miniature", "offline_tokenizer", "records"]

os.environ["HF_HUB_OFFLINE"] = "1"  # transformers and timm would ask otherwise

# Not imported here: that has to be done by the bridge.
if importlib.util.find_spec("wilds") is None:
    collect_ignore_glob = ["test_*.py"]
