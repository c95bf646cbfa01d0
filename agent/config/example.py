"""The whole configuration file with comments in both languages, as ``posagent config example`` prints it."""

from pathlib import Path


def example_text() -> str:
    """Give the text of the example; it loads as it stands."""
    return Path(__file__).with_name("example.toml").read_text("utf-8")
