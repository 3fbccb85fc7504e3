"""The option ``links`` of an S3 URL sets the host of signed links."""

from __future__ import annotations

import pytest

from storage.artifacts.links import LinkSigner
from storage.errors import InvalidStoreUrl
from storage.urls import open_artifacts

SIGNER = LinkSigner(b"0123456789abcdef", "https://photos.example.com")
URL = "s3://key:secret@minio:9000/photos?secure=false"


@pytest.mark.parametrize(
    ("option", "beginning"),
    [
        ("", "http://minio:9000/photos/uploads/a?"),
        ("&links=https://s3.example.com", "https://s3.example.com/photos/uploads/a?"),
        ("&links=http://127.0.0.1:9000/", "http://127.0.0.1:9000/photos/uploads/a?"),
        ("&links=gateway", "https://photos.example.com/v1/artifacts/uploads/a?"),
    ],
)
def test_links_lead_where_clients_are(option: str, beginning: str) -> None:
    store = open_artifacts(URL + option, SIGNER)
    assert store.signed_link("uploads/a", expires_s=60, method="PUT").startswith(beginning)


@pytest.mark.parametrize("links", ["elsewhere", "ftp://host", "https://host/path"])
def test_links_that_lead_nowhere_are_refused(links: str) -> None:
    with pytest.raises(InvalidStoreUrl):
        open_artifacts(f"{URL}&links={links}", SIGNER)
