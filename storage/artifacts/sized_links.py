"""Presigned PUT links of S3 that accept exactly one size.

The library ``minio`` signs only the header ``host``. If the link also signs ``content-length``, the
server refuses a body of another size and a chunked body. Source: AWS Signature Version 4,
"Authenticating Requests: Using Query Parameters".
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"
_SIGNED = "content-length;host"


def with_size(link: str, size: int, secret_key: str) -> str:
    """Return a presigned PUT link, signed again for a body of ``size`` bytes."""
    parts = urlsplit(link)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    query.pop("X-Amz-Signature", None)
    query["X-Amz-SignedHeaders"] = _SIGNED
    text = urlencode(sorted(query.items()), quote_via=quote, safe="-_.~")
    _, day, region, service, _ = query["X-Amz-Credential"].rsplit("/", 4)
    scope = f"{day}/{region}/{service}/aws4_request"
    headers = f"content-length:{size}\nhost:{parts.netloc}\n"
    request = "\n".join(("PUT", parts.path, text, headers, _SIGNED, "UNSIGNED-PAYLOAD"))
    digest = hashlib.sha256(request.encode()).hexdigest()
    message = "\n".join((_ALGORITHM, query["X-Amz-Date"], scope, digest))
    key = f"AWS4{secret_key}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, message.encode(), "sha256").hexdigest()
    return parts._replace(query=f"{text}&X-Amz-Signature={signature}").geturl()
