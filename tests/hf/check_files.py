#!/usr/bin/env python3
"""Compares how libgpt2 and transformers read the files of weights: shards, F64, white space in a header.

Each model is written here, read by both, and every tap compared; then transformers writes it in shards
of its own, which must give the bits of the one file.
"""
import argparse
import dataclasses
import filecmp
import json
import random
import shutil
import struct
import sys
from pathlib import Path

import models
from harness import Program, ProgramError, Record, Report, say

SPEC = models.Spec("files", models.small(97, 160, 3, 3, 36))
OTHER = dataclasses.replace(SPEC, name="other")
INDEX = "model.safetensors.index.json"
IDS = models.prompts(SPEC)["long"]


def header_of(tensors):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape, values) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(values)]}
        at += len(values)
    return json.dumps(header).encode()


def write_file(path, tensors, header=None):
    header = header_of(tensors) if header is None else header
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"".join(v for _, _, v in tensors.values()))


def new_directory(path, spec=SPEC):
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(models.config_of(spec)) + "\n")
    return path


def write_shards(directory, tensors, n_shards, unlisted=()):
    """Tensor i is in the shard i % n_shards; the index leaves `unlisted` out."""
    names = [f"model-{i + 1:05}-of-{n_shards:05}.safetensors" for i in range(n_shards)]
    for i, name in enumerate(names):
        write_file(directory / name, dict(list(tensors.items())[i::n_shards]))
    weight_map = {name: names[i % n_shards] for i, name in enumerate(tensors) if name not in unlisted}
    index = {"metadata": {"total_size": sum(len(v) for _, _, v in tensors.values())},
             "weight_map": weight_map}
    (directory / INDEX).write_text(json.dumps(index, indent=2) + "\n")


def as_f64(tensors):
    """Doubles, each within half a unit of its float32, so that rounding gives that back."""
    rng, made = random.Random("f64"), {}
    for name, (_, shape, values) in tensors.items():
        floats = struct.unpack(f"<{len(values) // 4}f", values)
        doubles = (x * (1 + rng.uniform(-2 ** -26, 2 ** -26)) for x in floats)
        made[name] = "F64", shape, struct.pack(f"<{len(floats)}d", *doubles)
    return made


def directories(work):
    """{what: directory}; all but "other" have the same model."""
    tensors = dict(sorted(models.tensors(SPEC).items()))
    made = {what: new_directory(work / what.replace(" ", "-")) for what in (
        "one file", "1 shard", "4 shards", "40 shards", "unlisted tensor", "index not used",
        "F64", "F64 in shards", "other")}
    write_file(made["one file"] / "model.safetensors", tensors)
    for what, n_shards in ("1 shard", 1), ("4 shards", 4), ("40 shards", len(tensors)):
        write_shards(made[what], tensors, n_shards)
    write_shards(made["unlisted tensor"], tensors, 3, ["transformer.h.1.mlp.c_fc.weight"])
    write_file(made["index not used"] / "model.safetensors", tensors)
    write_shards(made["index not used"], dict(sorted(models.tensors(OTHER).items())), 2)
    write_file(made["F64"] / "model.safetensors", as_f64(tensors))
    write_shards(made["F64 in shards"], as_f64(tensors), 3)
    write_shards(made["other"], dict(sorted(models.tensors(OTHER).items())), 2)
    return made


def check_directories(program, work, report, live):
    trace, first = work / "trace.safetensors", work / "first.safetensors"
    made = directories(work)
    for what, directory in made.items():
        program.trace(directory, IDS, trace)
        if what == "one file":
            shutil.copy(trace, first)
        report.check(filecmp.cmp(trace, first, shallow=False) == (what != "other"),
                     f"{what}: has {'the same' if what == 'other' else 'other'} bits as one file")
        if live:
            import capture
            import compare
            from transformers import GPT2LMHeadModel
            theirs = GPT2LMHeadModel.from_pretrained(directory, attn_implementation="eager").eval()
            differences, fault = compare.compare_taps(compare.read_taps(trace, IDS),
                                                      capture.capture(theirs, IDS))
            report.check(not fault, f"{what}: {fault}")
            say(f"{what}: a logit differs by {differences['logits']:.1e}")
    if live:
        check_saved(program, GPT2LMHeadModel.from_pretrained(made["one file"]), first, work, report)


def check_saved(program, theirs, first, work, report):
    """What transformers writes, in float and in double, in shards of any size."""
    saved, trace = work / "saved", work / "trace.safetensors"
    for dtype, model in ("F32", theirs), ("F64", theirs.double()):
        for size in "10GB", "100KB", "20KB", "1KB":
            shutil.rmtree(saved, ignore_errors=True)
            model.save_pretrained(saved, max_shard_size=size)
            n_files = len(list(saved.glob("*.safetensors")))
            program.trace_again(saved, IDS, trace)
            report.check(filecmp.cmp(trace, first, shallow=False) and (n_files > 1) == (size != "10GB"),
                         f"saved by transformers, {dtype}, shards of {size}: other bits")
            say(f"saved by transformers: {dtype} in {n_files} files")


def headers(text):
    """{what: header} around the JSON of a header."""
    return {
        "as it is": text,
        "spaces after it": text + b"   ",
        "all white space after it": text + b" \n\r\t",
        "a space before it": b" " + text,
        "all white space before it": b"\n\r\t " + text,
        "white space inside": text.replace(b":", b" :\n").replace(b",", b"\t,\r"),
        "a form feed after it": text + b"\f",
        "a vertical tab before it": b"\v" + text,
        "a NUL after it": text + b"\0",
        "a no-break space after it": text + "\u00a0".encode(),
        "a byte order mark": b"\xef\xbb\xbf" + text,
        "a letter after it": text + b" x",
        "a second object": text + b"{}",
        "nothing": b"",
        "only a space": b" ",
    }


def check_headers(program, record, work, report, live):
    tensors = dict(sorted(models.tensors(SPEC).items()))
    directory = new_directory(work / "header")
    path = directory / "model.safetensors"
    for what, header in headers(header_of(tensors)).items():
        write_file(path, tensors, header)
        try:
            program.unrecorded("info", directory)
            ours = True
        except ProgramError:
            ours = False
        record.given(what, header)
        record.got(ours)
        if live:
            from safetensors import SafetensorError, deserialize
            try:
                deserialize(path.read_bytes())
                theirs = True
            except SafetensorError:
                theirs = False
            report.check(ours == theirs, f"a header with {what}: accepted {ours}, by safetensors {theirs}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True, help="the gpt2 program")
    parser.add_argument("--work", required=True, type=Path, help="directory for models and traces")
    parser.add_argument("--ours", action="store_true", help="our side alone, and its hashes")
    args = parser.parse_args()
    work = args.work / "files"
    work.mkdir(parents=True, exist_ok=True)
    if not args.ours:
        import torch
        from transformers.utils import logging
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        torch.set_num_threads(2)
    record, report = Record(), Report()
    program = Program(args.program, record)
    try:
        check_directories(program, work, report, not args.ours)
        check_headers(program, record, work, report, not args.ours)
    except (ProgramError, OSError) as error:
        report.check(False, str(error))
    record.say()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
