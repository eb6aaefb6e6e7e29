"""URLs as people may see them, also what is none: nothing of a password is left."""

import pytest

from tenuto.model.shown_urls import shown_url


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "host=127.0.0.1 password=s3cr3t dbname=orders",
            "host=127.0.0.1 password=hidden dbname=orders",
        ),
        ("host=db password='s3 cr3t\\' x=1' user=me", "host=db password=hidden user=me"),
        ("host=db password = s3@cr3t: &#x", "host=db password = hidden"),
        ("password=s3cr3t with spaces dbname=orders", "password=hidden dbname=orders"),
        ("dbname=orders PASSWORD=s3cr3t", "dbname=orders PASSWORD=hidden"),
        ("host=db sslpassword=s3cr3t port=1", "host=db sslpassword=hidden port=1"),
        ("postgresql://me:s3cr3t@db/orders", "postgresql://me@db/orders"),
        (
            "postgresql://db/orders?password=s3cr3t&x=1",
            "postgresql://db/orders?password=hidden&x=1",
        ),
        ("sqlite:///password=kept.db", "sqlite:///password=kept.db"),
    ],
)
def test_no_password_is_shown(text: str, shown: str) -> None:
    assert shown_url(text) == shown
