"""Builds the wheel: the package, and in it libgpt2.so from the C sources, by the C compiler that CC
names.  CFLAGS and LDFLAGS count, too.

The sources are those of the checkout, or of an sdist, which has a copy.  ctypes needs no Python of a
certain version, so one wheel is for all of them.
"""
import atexit
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70.1
    from wheel.bdist_wheel import bdist_wheel

HERE = Path(__file__).resolve().parent
ROOT = HERE if (HERE / "lib").exists() else HERE.parents[1]
SOURCES = ("lib", "include", "LICENSE")


def words(name, default=""):
    return shlex.split(os.environ.get(name) or default)


def compile_library(path):
    cc, cflags = words("CC", "cc"), words("CFLAGS", "-O2")
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        def compile_file(source):
            made = Path(folder, source.stem + ".o")
            subprocess.run([*cc, "-std=c11", "-fPIC", "-fvisibility=hidden", f"-I{ROOT / 'include'}",
                            *cflags, "-c", "-o", made, source], check=True)
            return made

        slowest_first = sorted(ROOT.glob("lib/*/*.c"), key=lambda file: "kernels" not in file.parts)
        objects = list(pool.map(compile_file, slowest_first))
        subprocess.run([*cc, *cflags, *words("LDFLAGS"), "-shared", "-o", path, *objects, "-lm",
                        "-pthread"], check=True)


class Build(build_py):
    def run(self):
        super().run()
        if not getattr(self, "editable_mode", False):  # that uses the build/ of the checkout
            compile_library(Path(self.build_lib, "gpt2", "libgpt2.so"))


class Wheel(bdist_wheel):
    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


class Sources(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        for name in SOURCES:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, Path(base_dir, name))


class Binary(Distribution):
    def has_ext_modules(self):
        return True


scratch = tempfile.mkdtemp()  # the source tree stays as it is
atexit.register(shutil.rmtree, scratch)
version = re.findall(r"#define GPT2_VERSION_\w+ (\d+)", (ROOT / "include" / "gpt2.h").read_text())
setup(version=".".join(version), distclass=Binary,
      cmdclass={"build_py": Build, "bdist_wheel": Wheel, "sdist": Sources},
      options={"build": {"build_base": scratch}, "egg_info": {"egg_base": scratch}})
