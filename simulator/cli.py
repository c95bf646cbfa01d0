"""possim: a simulated terminal, a simulated service centre, and the demonstration that uses both."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from simulator import control
from simulator.settings import HIGHEST_BAUD, LOWEST_BAUD, SETTINGS, BadSettingError, read_setting

DONE, WRONG_USAGE, NOT_AVAILABLE, OUR_ERROR = 0, 2, 3, 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0 done, 2 wrong usage, 3 not available, 4 an error of ours."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except BadSettingError as error:
        return _fail(options, WRONG_USAGE, "wrong_usage", str(error))
    except (control.NoTerminalError, control.RefusedError) as error:
        return _fail(options, NOT_AVAILABLE, "not_available", str(error))
    except BrokenPipeError:
        return NOT_AVAILABLE
    except OSError as error:
        return _fail(options, NOT_AVAILABLE, "not_available", f"{error.filename or 'possim'}: {error.strerror or error}")
    except ImportError as error:
        message = f"{error.name or 'a part of possim'} is missing; install the extra: pip install 'posagent[simulator]'"
        return _fail(options, NOT_AVAILABLE, "not_installed", message)
    except KeyboardInterrupt:
        return DONE
    except Exception as error:  # noqa: BLE001  # the last place where a user can be spared a traceback
        return _fail(options, OUR_ERROR, "error", f"{type(error).__name__}: {error}")


def _fail(options: argparse.Namespace, code: int, name: str, message: str) -> int:
    message = " ".join(message.split())
    if getattr(options, "json", False):
        print(json.dumps({"schema": 1, "error": {"code": name, "message": message, "remedy": ""}}))
    print(f"possim: {message}", file=sys.stderr)
    return code


def _terminal(options: argparse.Namespace) -> int:
    from simulator.terminal import Kinds, TerminalServer

    kinds = Kinds(options.printer, options.reader, options.baud, options.seed)
    server = TerminalServer(options.dir, kinds, options.till)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _signal, _frame: server.stop())
    try:
        print(json.dumps(server.ready()), flush=True)
        server.run()
    finally:
        server.close()
    return DONE


def _set(options: argparse.Namespace) -> int:
    read_setting(options.key, options.value)
    control.call(options.dir, {"set": [options.key, options.value]})
    return DONE


def _show(options: argparse.Namespace) -> int:
    document = control.call(options.dir, {"show": True})["show"]
    if options.json:
        print(json.dumps(document))
        return DONE
    for device, truth in document.items():
        for name, value in (truth or {}).items():
            for key, one in value.items() if isinstance(value, dict) else [(f"{device}.{name}", value)]:
                if "." in key:
                    print(f"{key} {one}")
    return DONE


def _receipt(options: argparse.Namespace) -> int:
    from simulator.printer.paper import from_json
    from simulator.printer.receipt import draw

    elements = from_json(control.call(options.dir, {"receipt": True})["receipt"])
    if not elements:
        raise control.RefusedError("nothing was printed yet")
    draw(elements).save(options.out, format="PNG")
    return DONE


def _center(options: argparse.Namespace) -> int:
    from simulator.center.server import serve

    return int(serve(options.dir, options.port, tls=options.tls, mutual=options.mutual))


def _demo(options: argparse.Namespace) -> int:
    from simulator.demo import run

    return int(run(options.seconds))


def _number(low: int, high: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(high))) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="possim", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text)
        one.set_defaults(command=command)
        if name != "demo":
            one.add_argument("--dir", type=Path, required=True, help="the folder of the terminal or the centre")
        return one

    terminal = add("terminal", _terminal, "one simulated terminal; prints one line of JSON, runs until SIGTERM")
    terminal.add_argument("--printer", choices=("escpos", "none"), default="escpos")
    terminal.add_argument("--reader", choices=("ccid", "neo", "msr", "none"), default="ccid")
    terminal.add_argument("--baud", type=_number(LOWEST_BAUD, HIGHEST_BAUD), default=115200, help="of the printer")
    terminal.add_argument("--seed", type=_number(0, 9_999_999), default=0, help="of everything random")
    terminal.add_argument(
        "--till", type=Path, metavar="PATH", help="the port on which its till software prints; see till.printing"
    )
    change = add("set", _set, "changes a running terminal")
    change.epilog = "keys: " + "; ".join(f"{key} ({setting.valid})" for key, setting in SETTINGS.items())
    change.add_argument("key", metavar="KEY")
    change.add_argument("value", metavar="VALUE")
    show = add("show", _show, "the simulator's own truth")
    show.add_argument("--json", action="store_true", help="one JSON document")
    receipt = add("receipt", _receipt, "the last receipt as a picture")
    receipt.add_argument("--out", type=Path, required=True, metavar="FILE.png")
    center = add("center", _center, "a simulated service centre; prints one line of JSON, runs until SIGTERM")
    center.add_argument("--port", type=_number(0, 65535), default=0, help="0 takes a free one")
    center.add_argument("--tls", action="store_true", help="TLS with an authority of its own in DIR/ca, and EST")
    center.add_argument("--mutual", action="store_true", help="as --tls, and every host must show a certificate")
    demo = add("demo", _demo, "the whole story in one terminal window")
    demo.add_argument("--seconds", type=_number(1, 3600), default=60, help="at most")
    return parser


if __name__ == "__main__":
    sys.exit(main())
