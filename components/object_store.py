"""s3://, minio:// and hdfs://, which TensorFlow cannot open, through Arrow's file systems.

An object store has no folders: one is there while something lies below it, or because an empty
object stands for it. Credentials come from where the tools of each store look for them: the
`AWS_*` variables, `~/.aws`, or the machine's own role; `HADOOP_USER_NAME` and Kerberos' cache.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from components.errors import InputError

if TYPE_CHECKING:
    from pyarrow import fs

SCHEMES = ("s3", "minio", "hdfs")
# A store of one's own has none, and signatures name one all the same.
_ANY_REGION = "us-east-1"
ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
_CONNECT_SECONDS = 10

# What Arrow says of a store, and what its user can do.
_REMEDIES = (
    (
        r"NO_SUCH_BUCKET|[Bb]ucket '.*' not found|NoSuchBucket",
        "there is no such bucket: make it, or correct --pipeline-root or --data-root",
    ),
    (
        r"ACCESS_DENIED|AccessDenied|INVALID_ACCESS_KEY|SIGNATURE_DOES_NOT_MATCH|InvalidAccessKeyId"
        r"|SignatureDoesNotMatch|EXPIRED_TOKEN|ExpiredToken|HTTP (response code|status) 40[13]",
        "the store refuses these credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
        "(and AWS_SESSION_TOKEN), or AWS_PROFILE, to some that may read and write there",
    ),
    (
        r"NETWORK_CONNECTION|[Cc]ouldn't connect|[Cc]ould not resolve|Timeout was reached",
        "no store answers: set AWS_ENDPOINT_URL to its address, such as http://minio:9000 (leave "
        "it unset for Amazon's)",
    ),
    (
        r"libhdfs|libjvm|JAVA_HOME",
        "hdfs:// takes Hadoop's client on this machine: set JAVA_HOME, HADOOP_HOME (or "
        "ARROW_LIBHDFS_DIR, where libhdfs.so lies) and CLASSPATH=$(hadoop classpath --glob)",
    ),
    (
        r"HDFS connection failed|hdfsBuilderConnect",
        "no name node answers: give its host and port, as in hdfs://namenode:8020/path, and "
        "HADOOP_USER_NAME or a Kerberos ticket (kinit)",
    ),
)


def scheme_of(uri: str) -> str:
    """The part before `://`; empty for a path."""
    scheme, separator, _ = uri.partition("://")
    return scheme if separator else ""


def locate(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system that a URI is on, and its path there.

    Raises:
      InputError: if the store cannot be reached as it is set up; says what to set.
    """
    scheme, host, path = _parse(uri)
    with explained(uri):
        if scheme == "hdfs":
            name, _, port = host.partition(":")
            return _hdfs(name or "default", int(port or 0)), path
        endpoint = _first(ENDPOINT_VARIABLES)
        if scheme == "minio" and not endpoint:
            raise InputError(
                f"{uri}: set AWS_ENDPOINT_URL to the address of MinIO, such as "
                "http://minio-service.kubeflow:9000"
            )
        region = _first(_REGION_VARIABLES) or (_ANY_REGION if endpoint else _region_of(host))
        return _s3(endpoint, region, os.environ.get("AWS_ACCESS_KEY_ID", "")), f"{host}{path}"


def listed(
    folder: str, *, recursive: bool = False, allow_missing: bool = True
) -> Iterator[tuple[str, fs.FileInfo]]:
    """What lies in a folder, by URI, in no order.

    Args:
      folder: URI, without a slash at its end.
      recursive: whether it is gone through at any depth.
      allow_missing: whether a folder that is not there is an empty one.

    Raises:
      InputError: if the store refuses; says what to do.
      FileNotFoundError: if the folder is missing, and may not be.
    """
    from pyarrow import fs

    store, where = locate(folder)
    selector = fs.FileSelector(where, allow_not_found=allow_missing, recursive=recursive)
    with explained(folder):
        found = store.get_file_info(selector)
    for one in found:
        yield folder + one.path[len(where) :], one


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Tell what the user can do about what a store refuses.

    Args:
      uri: what is read or written.

    Raises:
      InputError: instead of an error of the store that has a remedy.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        for pattern, remedy in _REMEDIES:
            if re.search(pattern, str(error)):
                raise InputError(f"{uri}: {remedy} ({error})") from error
        raise


def _parse(uri: str) -> tuple[str, str, str]:
    """Scheme, bucket or name node, and the path with a slash before it, if there is any."""
    scheme, _, rest = uri.partition("://")
    host, slash, path = rest.partition("/")
    # Twice a slash is a folder without a name to an object store.
    path = re.sub("/+", "/", slash + path).rstrip("/")
    if scheme not in SCHEMES or not (host or scheme == "hdfs"):
        raise InputError(f"{uri}: expected SCHEME://BUCKET/PATH with one of {', '.join(SCHEMES)}")
    return scheme, host, path or ("/" if scheme == "hdfs" else "")


def _first(names: tuple[str, ...]) -> str:
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


@functools.cache
def _region_of(bucket: str) -> str:
    from pyarrow import fs

    return str(fs.resolve_s3_region(bucket))


@functools.cache
def _s3(endpoint: str, region: str, user: str) -> fs.FileSystem:
    """One connection pool for all: `user` tells those of other credentials apart."""
    from pyarrow import fs

    return fs.S3FileSystem(
        endpoint_override=endpoint or None, region=region, connect_timeout=_CONNECT_SECONDS
    )


@functools.cache
def _hdfs(host: str, port: int) -> fs.FileSystem:
    from pyarrow import fs

    return fs.HadoopFileSystem(host, port)
