#!/usr/bin/env python3
"""Runs llama.cpp's convert_hf_to_gguf.py, whose path and options are the arguments.

It names types of 8 bits that torch 1.13 lacks.  No model here has them, so any type does in their place.
"""
import runpy
import sys
from pathlib import Path

import torch

for name in ("float8_e4m3fn", "float8_e5m2"):
    if not hasattr(torch, name):
        setattr(torch, name, torch.uint8)
sys.argv = sys.argv[1:]
sys.path.insert(0, str(Path(sys.argv[0]).parent))
runpy.run_path(sys.argv[0], run_name="__main__")
