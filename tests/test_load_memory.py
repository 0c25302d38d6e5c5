"""How much memory a load takes at most, from files of every form: the model and 16 MB.

    GPT2_LIBRARY=build/libgpt2.so python3 tests/test_load_memory.py
"""
import dataclasses
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "examples" / "python"), str(ROOT / "tests" / "hf")]
sys.dont_write_bytecode = True
import check_torch_files as forms  # noqa: E402
import gpt2  # noqa: E402
import models  # noqa: E402
import torch_files  # noqa: E402

PROGRAM = os.path.join(os.path.dirname(os.environ["GPT2_LIBRARY"]), "gpt2")
BEYOND_MODEL_BYTES = 16 << 20
SPEC = models.Spec("load-memory", models.small(40000, 64, 2, 3, 192), weights="hf")    # 34 MB
GELU = dataclasses.replace(SPEC, config={**SPEC.config, "activation_function": "gelu"})


def status_bytes(key):
    """A line of this process's status: VmRSS is the memory in use, VmHWM the most of it so far."""
    return 1024 * int(re.search(rf"{key}:\s*(\d+) kB", Path("/proc/self/status").read_text())[1])


def run(command, *args):
    return subprocess.run([PROGRAM, command, *map(str, args)], check=True, capture_output=True, text=True).stdout


def peak_bytes(path, weight_type):
    """The most that a load takes beyond what was there before it."""
    Path("/proc/self/clear_refs").write_text("5")   # VmHWM begins anew
    before = status_bytes("VmRSS")
    gpt2.Model(path, threads=2, weight_type=weight_type).close()
    return status_bytes("VmHWM") - before


@unittest.skipUnless(os.access("/proc/self/clear_refs", os.W_OK), "no /proc/self/clear_refs")
class LoadMemory(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        work = Path(cls.scratch.name)
        made, config = models.tensors(SPEC), models.config_of(SPEC)
        cls.paths = {name: work / name for name in ("safetensors", "bin", "stream", "bin-shards", "nanogpt", "llmc")}
        models.write(SPEC, cls.paths["safetensors"])
        for name, write in ("bin", torch_files.write_zip), ("stream", torch_files.write_stream):
            write(forms.new_directory(cls.paths[name], config) / "pytorch_model.bin", torch_files.tensors_of(made))
        forms.write_bin_shards(forms.new_directory(cls.paths["bin-shards"], config), made)
        linear = torch_files.tensors_of(forms.with_head(forms.as_linear(models.tensors(GELU))))
        torch_files.write_zip(forms.new_directory(cls.paths["nanogpt"]) / "ckpt.pt", forms.checkpoint(linear, GELU))
        forms.write_llmc(forms.new_directory(cls.paths["llmc"]) / "model.bin", SPEC)
        for weight_type in ("f32", "bf16", "q8"):
            path = cls.paths[f"gguf {weight_type}"] = work / f"{weight_type}.gguf"
            run("convert", "-m", cls.paths["safetensors"], "-o", path, "--format", "gguf", "--type", weight_type)
        cls.paths["native"] = work / "native.safetensors"
        run("convert", "-m", cls.paths["safetensors"], "-o", cls.paths["native"])

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def test_each_form(self):
        for name, path in self.paths.items():
            for weight_type in ("file",) if name in ("native", "gguf bf16", "gguf q8") else ("file", "f32", "q8"):
                with self.subTest(form=name, weight_type=weight_type):
                    options = () if weight_type == "file" else ("--type", weight_type)
                    model_bytes = int(re.search(r"^memory +(\d+)", run("info", "-m", path, *options), re.M)[1])
                    self.assertGreater(model_bytes, 8 << 20)
                    peak = peak_bytes(path, weight_type)
                    self.assertLess(peak, model_bytes + BEYOND_MODEL_BYTES)


if __name__ == "__main__":
    unittest.main()
