"""The line keeper: one small process that holds a printer's port, offers a pseudo-terminal to the till, and lets the daemon ask.

It must start without the configuration, requests, pyserial, logging or dataclasses: its memory is a goal (docs/benchmarks.md).
"""
