"""What Schemathesis lacks: whether the document describes each header of an answer; and no headers of its own that break HTTP."""

from urllib.parse import urlencode

import schemathesis

# What frames every message of HTTP is nothing that an API says.
FRAMING = {"connection", "content-length", "content-type", "date", "transfer-encoding"}

# What says where a request ends, or what becomes of its connection.
BREAKING = {"connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"}

# The head of a request that is too long is refused with 431 by the HTTP server, before there is an operation that could be described.
LONGEST_QUERY = 16 * 1024


@schemathesis.check
def described_headers(_context, response, case):
    # Schemathesis tries methods that a path does not have. OPTIONS is answered by all, and says what they are in Allow.
    if response.request.method == "OPTIONS":
        return
    described = case.operation.responses.find_by_status_code(response.status_code)
    # Whether the status is described is a check of its own.
    if described is None:
        return
    names = {name.lower() for name, _ in described.headers.items()}
    unknown = {name.lower() for name in response.headers} - names - FRAMING
    assert not unknown, f"the answer {response.status_code} has headers that are not described: {sorted(unknown)}"


@schemathesis.hook
def before_call(_context, case, _kwargs):
    # It makes up headers. With these no request would arrive, or another one.
    for name in list(case.headers or {}):
        if name.lower() in BREAKING:
            del case.headers[name]


@schemathesis.hook
def filter_case(_context, case):
    return len(urlencode(case.query or {}, doseq=True)) <= LONGEST_QUERY
