"""Tests the commands of the HTTP worker's Containerfile, one by one in a scratch folder.

tests/test_http_worker.py runs this.  Where apt-get would install packages, those of this machine are
used.  So this finds a file that is not copied, a command or an option that is wrong, and what a user
without rights cannot read; it does not find a package that is missing.
"""
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import unittest

from http_worker import ROOT

FILE = os.path.join(ROOT, "examples", "http-worker", "Containerfile")


def instructions():
    """(INSTRUCTION, the rest of its line), without comments and with lines that go on joined."""
    with open(FILE) as file:
        lines = [line for line in file.read().splitlines() if not line.startswith("#")]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [line.split(None, 1) for line in text.splitlines() if line]


def copy(sources, target, to_folder):
    """As COPY does: a folder's contents, a file under its name if the target is a folder."""
    for source in sources:
        if os.path.isdir(source):
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            os.makedirs(target if to_folder else os.path.dirname(target), exist_ok=True)
            shutil.copy(source, target)


class Build:
    def __init__(self, scratch):
        self.scratch, self.names, self.stage, self.folder = scratch, {}, None, "/"
        self.settings = {}      # the last instruction of each other kind

    def inside(self, path):
        return os.path.normpath(self.stage + os.path.join(self.folder, path))

    def do(self, name, rest):
        if name == "FROM":
            self.stage = os.path.join(self.scratch, f"stage{len(self.names)}")
            self.names[rest.split(" AS ")[-1]] = self.stage
            self.folder = "/"
            os.makedirs(self.stage)
        elif name == "WORKDIR":
            self.folder = rest
            os.makedirs(self.inside("."), exist_ok=True)
        elif name == "COPY":
            words, origin = rest.split(), ROOT
            if words[0].startswith("--from="):
                origin = self.names[words.pop(0)[7:]]
            sources = [os.path.join(origin, word.lstrip("/")) for word in words[:-1]]
            copy(sources, self.inside(words[-1]), words[-1].endswith("/"))
        elif name == "RUN" and not rest.startswith("apt-get "):
            subprocess.run(["sh", "-c", rest.replace("-O2", "-O0")], cwd=self.inside("."), check=True,
                           stdout=subprocess.DEVNULL)
        else:
            self.settings[name] = rest


def check(build, token, port):
    """Runs the worker as USER, asks after its health, and stops it."""
    def here(word):
        return {"/run/token": token, "/model": build.stage + "/model"}.get(word, word)
    user, group = map(int, build.settings["USER"].split(":"))
    command = json.loads(build.settings["ENTRYPOINT"]) + json.loads(build.settings["CMD"])
    program = shutil.which(command[0], path=build.stage + "/usr/local/bin")
    who = {"user": user, "group": group, "extra_groups": []} if os.geteuid() == 0 else {}
    assert user != 0
    worker = subprocess.Popen([program, *map(here, command[1:]), "--port", port], cwd="/",
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **who)
    try:
        line = worker.stdout.readline()
        assert line == f"ready: http://0.0.0.0:{port}/\n", line
        health = build.settings["HEALTHCHECK"].split("CMD ", 1)[1].replace(":8080", ":" + port)
        if shutil.which("curl"):
            subprocess.run(["sh", "-c", health], check=True)
        worker.terminate()
        assert worker.wait(60) == 0
        if shutil.which("curl"):
            assert subprocess.run(["sh", "-c", health]).returncode != 0
    finally:
        worker.kill()
        worker.wait()
        worker.stdout.close()


class Container(unittest.TestCase):
    def test_commands(self):
        with tempfile.TemporaryDirectory() as scratch:
            os.chmod(scratch, 0o755)
            token = os.path.join(scratch, "token")
            with open(token, "w") as file:
                file.write("a-token-of-some-length\n")
            os.chmod(token, 0o644)
            build = Build(scratch)
            for name, rest in instructions():
                build.do(name, rest)
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = str(free.getsockname()[1])
            check(build, token, port)
