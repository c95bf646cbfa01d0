"""One file per command, found by its name: ``run(context, arguments)`` answers with the exit code."""
