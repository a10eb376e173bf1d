#!/usr/bin/env python3
"""Follow records of an ocelli node over HTTP; the standard library is enough.

Does: subscribe, print one Panoptes metrics group a line, keep the cursor in a file, dial again with
it after an interruption. Does not: drop repetitions (delivery is at least once: after a kill, what
came since the last cursor comes again).

    python3 examples/subscribe.py http://127.0.0.1:7780 --from latest --group interface \\
        --filter 'resource_site = "dc1"' --cursor-file /tmp/ocelli.cursor

A token, where the node wants one, is read from the file that OCELLI_TOKEN_FILE names.
"""

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

RETRY_SECONDS_MIN = 0.5
RETRY_SECONDS_MAX = 30.0
# A node without records says nothing in this format; then the same cursor is asked for again.
SILENCE_SECONDS_MAX = 120.0
# Longer cursors do not fit into a URL; a POST body takes 1 MiB.
CURSOR_IN_URL_MAX = 2048


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="of the node, like http://127.0.0.1:7780")
    parser.add_argument("--filter", help="which resources")
    parser.add_argument("--group", action="append", default=[], help="metrics group, repeatable")
    parser.add_argument("--metric", action="append", default=[], help="metric, repeatable")
    parser.add_argument("--from", dest="start", default="now", help="now, latest, oldest or a time")
    parser.add_argument("--cursor-file", help="goes on where the file says, and keeps it up to date")
    parser.add_argument("--count", type=int, help="end after so many groups and their cursor")
    return parser.parse_args()


def read_cursor(path):
    if path is None or not os.path.exists(path):
        return None
    with open(path, encoding="ascii") as file:
        return file.read().strip() or None


def write_cursor(path, cursor):
    """Replaces the file whole: a reader or a crash never sees half a cursor."""
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write(cursor + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def request_of(arguments, cursor):
    query = [("format", "ndjson"), ("include", "gaps,cursors")]
    query += [("group", group) for group in arguments.group]
    query += [("metric", metric) for metric in arguments.metric]
    if arguments.filter:
        query.append(("filter", arguments.filter))
    body = None
    if cursor is None:
        query.append(("from", arguments.start))
    elif len(cursor) <= CURSOR_IN_URL_MAX:
        query.append(("cursor", cursor))
    else:
        body = cursor.encode("ascii")
    url = arguments.url.rstrip("/") + "/v1/subscribe?" + urllib.parse.urlencode(query)
    request = urllib.request.Request(url, data=body)
    if "OCELLI_TOKEN_FILE" in os.environ:
        with open(os.environ["OCELLI_TOKEN_FILE"], encoding="ascii") as file:
            request.add_header("Authorization", "Bearer " + file.read().strip())
    return request


class Follower:
    """One subscription over any number of connections."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.cursor = read_cursor(arguments.cursor_file)
        self.groups = 0

    def is_done(self):
        return self.arguments.count is not None and self.groups >= self.arguments.count

    def take(self, line):
        """Prints a line or keeps it as the cursor; True when enough was read."""
        value = json.loads(line)
        if value.get("type") == "cursor":
            self.cursor = value["cursor"]
            if self.arguments.cursor_file:
                write_cursor(self.arguments.cursor_file, self.cursor)
            return self.is_done()
        if "type" not in value:
            self.groups += 1
        sys.stdout.write(line.decode("utf-8"))
        sys.stdout.flush()
        return False

    def follow(self):
        """Reads one connection to its end; True when enough was read."""
        request = request_of(self.arguments, self.cursor)
        with urllib.request.urlopen(request, timeout=SILENCE_SECONDS_MAX) as answer:
            for line in answer:
                # A line without its end was cut off; it comes again.
                if line.endswith(b"\n") and self.take(line):
                    return True
        return False


def main():
    follower = Follower(parse_arguments())
    pause = RETRY_SECONDS_MIN
    while True:
        groups_before = follower.groups
        try:
            if follower.follow():
                return 0
            reason = "the node ended the stream"
        except urllib.error.HTTPError as error:
            reason = f"{error.code}: {error.read().decode('utf-8', 'replace')}"
            if error.code < 500 and error.code != 429:
                print(f"refused, {reason}", file=sys.stderr)
                return 1
        except (OSError, ValueError) as error:
            reason = str(error)
        if follower.groups > groups_before:
            pause = RETRY_SECONDS_MIN
        print(f"interrupted ({reason}), again in {pause} s", file=sys.stderr)
        time.sleep(pause)
        pause = min(2 * pause, RETRY_SECONDS_MAX)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has enough.
        sys.exit(0)
