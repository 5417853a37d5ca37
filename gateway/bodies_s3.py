"""The body store on S3, or any server of that API (AWS_ENDPOINT_URL_S3 names another; credentials are boto3's own affair)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from gateway.bodies import BodyError, BodyMissing, Kept, checked_key, claim_for, verified
from streams.events import ClaimCheck

TIMEOUTS_S = {"connect_timeout": 5, "read_timeout": 60}
ATTEMPTS = 3
ABSENT = {"NoSuchKey", "404"}


def client() -> Any:
    """An S3 client that gives up within minutes, so that the sender of a mail can be told to come back."""
    return boto3.client("s3", config=Config(retries={"mode": "standard", "max_attempts": ATTEMPTS}, **TIMEOUTS_S))


class S3Bodies:
    """Bodies as objects of a bucket, below a prefix."""

    def __init__(self, s3: Any, bucket: str, prefix: str = "") -> None:
        self._s3 = s3
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def put(self, data: bytes) -> ClaimCheck:
        claim = claim_for(data)
        try:
            # The server computes the hash as well, and refuses bytes that were damaged on the way.
            self._s3.put_object(Bucket=self._bucket, Key=self._prefix + claim.key, Body=data, ChecksumAlgorithm="SHA256")
        except (BotoCoreError, ClientError) as error:
            raise BodyError(f"s3://{self._bucket} took no body: {error}") from error
        return claim

    def get(self, claim: ClaimCheck) -> bytes:
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + checked_key(claim))
            return verified(claim, answer["Body"].read())
        except ClientError as error:
            if error.response["Error"]["Code"] in ABSENT:
                raise BodyMissing(f"s3://{self._bucket} has no {claim.key}") from None
            raise BodyError(f"s3://{self._bucket} cannot be read: {error}") from error
        except BotoCoreError as error:
            raise BodyError(f"s3://{self._bucket} cannot be read: {error}") from error

    def kept(self) -> Iterator[Kept]:
        try:
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=f"{self._prefix}sha256/"):
                for found in page.get("Contents", ()):
                    yield Kept(found["Key"].removeprefix(self._prefix), found["Size"], found["LastModified"])
        except (BotoCoreError, ClientError) as error:
            raise BodyError(f"s3://{self._bucket} cannot be listed: {error}") from error

    def remove(self, key: str, before: datetime) -> bool:
        where = {"Bucket": self._bucket, "Key": self._prefix + key}
        try:
            if self._s3.head_object(**where)["LastModified"] >= before:
                return False
            self._s3.delete_object(**where)
        except ClientError as error:
            if error.response["Error"]["Code"] in ABSENT:
                return False
            raise BodyError(f"s3://{self._bucket} did not give up {key}: {error}") from error
        except BotoCoreError as error:
            raise BodyError(f"s3://{self._bucket} did not give up {key}: {error}") from error
        return True
