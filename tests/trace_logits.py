"""The logits of a text, as `gpt2 trace` writes them, and the softmax of a row in double: what
test_generate.sh and test_next.sh compare with."""
import array
import json
import math
import os
import struct
import subprocess
import tempfile


def trace_logits(program, model, ids):
    """A row of logits for each of the ids."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "trace.safetensors")
        subprocess.run([program, "trace", "-m", model, "--tokens", ",".join(map(str, ids)), "-o", path],
                       check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        with open(path, "rb") as file:
            data = file.read()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    tensor = json.loads(data[8:start])["logits"]
    begin, end = tensor["data_offsets"]
    rows, columns = tensor["shape"]
    values = array.array("f", data[start + begin:start + end])
    return [values[i * columns:(i + 1) * columns].tolist() for i in range(rows)]


def log_softmax(logits):
    largest = max(logits)
    log_sum = largest + math.log(math.fsum(math.exp(x - largest) for x in logits))
    return [x - log_sum for x in logits]
