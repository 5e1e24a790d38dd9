"""Errors as the OpenAI wire says them: the body clients read, and the headers that say whether to try again."""

from __future__ import annotations

from typing import Any

from ikkan.ground.errors import IkkanError, QuotaExhausted

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
}


def error_body(error: IkkanError) -> dict[str, Any]:
    """The body of an error reply, and the data of an error frame within a stream.

    >>> error_body(QuotaExhausted("nothing left", hint="have it raised"))["error"]["type"]
    'insufficient_quota'
    """
    kind = "insufficient_quota" if isinstance(error, QuotaExhausted) else _TYPES.get(error.status, "")
    kind = kind or ("api_error" if error.status >= 500 else "invalid_request_error")
    message = f"{error.message} ({error.hint})" if error.hint else error.message
    param = error.facts.get("param")
    return {
        "error": {
            "message": message,
            "type": kind,
            "param": param if isinstance(param, str) else None,
            "code": error.code,
        }
    }


def error_headers(error: IkkanError) -> dict[str, str]:
    """What keeps a client from asking again in vain, and tells it when asking again makes sense.

    >>> error_headers(QuotaExhausted("nothing left"))
    {'x-should-retry': 'false'}
    """
    headers = {"x-should-retry": "true" if error.retryable else "false"}
    wait_s = error.facts.get("retry_after_s")
    if error.retryable and isinstance(wait_s, int | float) and wait_s > 0:
        headers["retry-after-ms"] = str(int(wait_s * 1000))
        headers["retry-after"] = str(max(1, round(wait_s)))
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return headers
