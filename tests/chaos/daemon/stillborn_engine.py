"""An engine whose import ends the process as long as STUB_DOWN names a file that is there.

Runs in: worker. Named by import path, `chaos.daemon.stillborn_engine:StubTranscriber`.
"""

from fake_engines import segfault

from chaos.daemon.stub_engines import StubTranscriber, is_down

__all__ = ["StubTranscriber"]

if is_down():
    segfault()
