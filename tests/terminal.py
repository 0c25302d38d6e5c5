"""terminal.py SIGNALS MARK [--stdout-too] PROGRAM ARGUMENTS...: runs a program with a terminal as its
stderr, and as its stdout if asked.  Sends SIGNALS interrupts once the terminal has shown MARK.  Prints the
exit code, whether MARK was shown, how many lines went to stdout, and the last line of the terminal.
"""
import os
import pty
import signal
import subprocess
import sys
import tempfile

n_signals, mark, arguments = int(sys.argv[1]), sys.argv[2].encode(), sys.argv[3:]
terminal, stderr = pty.openpty()
out = tempfile.TemporaryFile()
stdout = out
if arguments[0] == "--stdout-too":
    stdout, arguments = stderr, arguments[1:]
process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                           preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
os.close(stderr)
seen = b""
while True:
    try:
        piece = os.read(terminal, 4096)
    except OSError:
        break
    if not piece:
        break
    seen += piece
    if n_signals and mark in seen:
        process.send_signal(signal.SIGINT)
        n_signals -= 1
print("code", process.wait())
print("shows progress" if mark in seen else "no progress")
out.seek(0)
print("stdout", len(out.read().splitlines()), "lines")
print("last", repr(seen.split(b"\r\x1b[K")[-1].decode()))
