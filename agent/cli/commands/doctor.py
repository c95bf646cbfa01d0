"""``posagent doctor``: why does it not work here?"""

from argparse import Namespace

from agent.cli.context import Context
from agent.cli.views.doctor import doctor
from agent.clock import Clock
from agent.doctor.machine import Machine
from agent.doctor.rounds import document, examine

EXIT = {"ok": 0, "fault": 1, "unknown": 3}


def run(context: Context, arguments: Namespace) -> int:
    """0 nothing stands in the way (warnings included), 1 something does, 3 not everything could be looked at."""
    del arguments  # it has none of its own
    found = document(examine(context.paths, context.config_path, Clock(), Machine()), context.text.lang)
    context.answer(found, lambda: doctor(found, context.text, context.style))
    return EXIT[found["result"]]
