# SPDX-License-Identifier: MIT
"""What the check_* scripts share: finding files, telling code from comments, reporting."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

_TOKEN = re.compile(
    r'(?P<comment>/\*.*?\*/|//[^\n]*)|(?P<text>"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')',
    re.DOTALL)


def files(*patterns):
    """The files that match, in a stable order."""
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file())


def name(path):
    return path.relative_to(ROOT).as_posix()


def _blank(text):
    return re.sub(r'[^\n]', ' ', text)


def without_comments(source):
    """The source with comments blanked out; lines and columns stay where they are."""
    return _TOKEN.sub(lambda m: _blank(m.group()) if m.group('comment') else m.group(), source)


def without_comments_and_texts(source):
    return _TOKEN.sub(lambda m: _blank(m.group()), source)


def comments(source):
    """(first line, last line, text) of each comment; a run of // lines is one comment."""
    found = []
    for match in _TOKEN.finditer(source):
        text = match.group('comment')
        if text is None:
            continue
        first = source.count('\n', 0, match.start()) + 1
        last = first + text.count('\n')
        if text.startswith('//') and found and found[-1][2].startswith('//') \
                and found[-1][1] == first - 1:
            found[-1] = (found[-1][0], last, found[-1][2] + '\n' + text)
        else:
            found.append((first, last, text))
    return found


def lines(source):
    """(line number from 1, text) of each line."""
    return enumerate(source.split('\n'), start=1)


class Report:
    """Collects findings; finish() prints one closing line and leaves with 0 or 1."""

    def __init__(self, title):
        self.title = title
        self.count = 0

    def add(self, path, line, text):
        self.count += 1
        place = name(path) if isinstance(path, pathlib.Path) else path
        print(f'{place}:{line}: {text}' if line else f'{place}: {text}')

    def finish(self, looked_at):
        verdict = 'all well' if self.count == 0 else f'{self.count} findings'
        print(f'{self.title}: {looked_at}: {verdict}')
        sys.exit(1 if self.count else 0)
