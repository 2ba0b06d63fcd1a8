"""The same store at an address: a real S3 server, started here."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes import run_fake

from harness.errors import HarnessError
from harness.store import Store

pytest.importorskip("moto")

BUCKET = "evaluations"
PATIENCE = 60

# boto3 and its server are old-fashioned about dates and sockets.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def bucket():
    """A bucket that this process and its children know how to reach."""
    import boto3

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # A process of its own, because delta-rs holds the interpreter while it waits.
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    settings = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "hush-hush",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        end = time.monotonic() + PATIENCE
        while True:
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < end, "the S3 server never started"
            time.sleep(0.05)
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield f"s3://{BUCKET}"
    server.terminate()
    server.wait(PATIENCE)


WRITER = """
import sys
from fakes import run_fake
run_fake(sys.argv[1], seeds=[int(sys.argv[2])], steps=range(5))
"""


def test_a_store_at_an_address_is_a_store(bucket, tmp_path):
    for place in (f"{bucket}/one", tmp_path / "one"):
        run_fake(place)
    there, here = Store(f"{bucket}/one"), Store(tmp_path / "one")

    assert there.info().content_digest == here.info().content_digest
    assert there.verify() == []
    there.compact(drop_replaced=True)
    assert there.info().n_files == 2
    assert there.info().content_digest == here.info().content_digest


def test_several_writers_at_one_address_lose_nothing(bucket, tmp_path):
    address, seeds = f"{bucket}/several", (0, 1, 2)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, address, str(seed)], env=environment
        )
        for seed in seeds
    ]
    assert [writer.wait(PATIENCE) for writer in writers] == [0, 0, 0]

    run_fake(tmp_path / "alone", seeds=seeds, steps=range(5))
    together, alone = Store(address), Store(tmp_path / "alone")
    assert together.verify() == []
    assert together.info().content_digest == alone.info().content_digest


@pytest.mark.parametrize(
    ("address", "code"),
    [
        (f"s3://{BUCKET}/not-here", "store-missing"),
        ("s3://no-such-bucket/store", "store-not-read"),
    ],
)
def test_an_address_without_a_store_is_one_line(bucket, address, code):
    with pytest.raises(HarnessError) as caught:
        Store(address)

    assert caught.value.code == code
    assert "\n" not in str(caught.value)
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)
