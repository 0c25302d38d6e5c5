#!/usr/bin/env python3
"""CTranslate2 as an engine of faithful.py, in a process of its own.

    ctranslate2_worker.py MODEL_DIR NEW_DIR

It converts the model, loads what it has written into NEW_DIR, prints "ready VERSION", and then answers
each line with one of its own:

    all-logits IDS FILE     runs the ids "1,2,3"; FILE gets the logits of all as floats; "done"
    encode TEXT             the ids of a text; "none" of an engine that has no tokenizer
    ends                    the ids that end a text
"""
import json
import sys
from pathlib import Path

import ctranslate2
import numpy
from ctranslate2.converters import TransformersConverter


def main():
    directory, converted = sys.argv[1:]
    TransformersConverter(directory).convert(converted)
    generator = ctranslate2.Generator(converted, compute_type="float32")
    config = json.loads(Path(converted, "config.json").read_text())
    vocabulary = json.loads(Path(converted, "vocabulary.json").read_text())
    print("ready", ctranslate2.__version__, flush=True)
    for line in sys.stdin:
        task, *words = line.split()
        if task == "all-logits":
            ids = [int(word) for word in words[0].split(",")]
            logits = numpy.array(generator.forward_batch([ids], return_log_probs=False))[0]
            Path(words[1]).write_bytes(logits.astype("<f4").tobytes())
            answer = "done"
        elif task == "ends":
            answer = vocabulary.index(config["eos_token"])
        else:
            answer = "none"
        print(answer, flush=True)


if __name__ == "__main__":
    main()
