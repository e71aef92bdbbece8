"""What can go wrong on the host, and the exit statuses of the host command."""

# 0 to 3 are the run's own statuses (all passed, a failure, a panic, a bad parameter).
EXIT_PANIC = 2
EXIT_BROKEN = 4  # the run did not come through whole: a hang, a reset, a damaged stream
EXIT_USAGE = 5  # nothing was run: bad usage, or something that is needed is missing
EXIT_INTERRUPTED = 130


class PagelabError(Exception):
    """Something that a person can mend: printed as it is, without a traceback."""
