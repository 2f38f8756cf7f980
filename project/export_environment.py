"""The environment variables about exports: in which directory or bucket their files are kept."""

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field, SecretStr, model_validator


class ExportVariables(BaseModel):
    """What `Environment` knows about exports."""

    exports_directory: Path | None = Field(
        default=None,
        description="Where exports are kept, `.data/exports` when unset; web and workers of all hosts must share it. "
        "With a bucket, where workers write a file before it is uploaded.",
    )
    exports_s3_bucket: str = Field(
        default="",
        pattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$",
        description="Keeps exports in this bucket of an S3-compatible server, below `exports/`.",
    )
    exports_s3_endpoint: str = Field(
        default="",
        pattern=r"^(https?://[^\s/?#@]+)?/?$",
        description="Its server, such as `https://s3.example.com`; Amazon's when unset.",
    )
    exports_s3_region: str = Field(
        default="",
        pattern=r"^[a-z0-9-]*$",
        description="Its region, if the server has several.",
    )
    exports_s3_access_key: str = Field(
        default="",
        pattern=r"^\S*$",
        description="Who may read, write, list and delete there; when unset, the role of the machine.",
    )
    exports_s3_secret_key: SecretStr | None = Field(
        default=None,
        min_length=1,
        description="The secret of `EXPORTS_S3_ACCESS_KEY`.",
    )

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if bool(self.exports_s3_access_key) != bool(self.exports_s3_secret_key):
            raise ValueError("EXPORTS_S3_SECRET_KEY: EXPORTS_S3_ACCESS_KEY and it go together; set both or neither")
        others = (self.exports_s3_endpoint, self.exports_s3_region, self.exports_s3_access_key)
        if any(others) and not self.exports_s3_bucket:
            raise ValueError("EXPORTS_S3_BUCKET: the other EXPORTS_S3_ variables mean nothing without it")
        return self


def exports_storage(variables: ExportVariables, *, directory: Path) -> dict[str, Any]:
    """Return Django's storage of exports.

    Args:
        variables: Where they are kept.
        directory: Which directory, if not in a bucket.
    """
    if not variables.exports_s3_bucket:
        options: dict[str, Any] = {"location": directory, "file_permissions_mode": 0o600}
        return {"BACKEND": "reports.storage.ExportDirectory", "OPTIONS": options}
    secret = variables.exports_s3_secret_key
    options = {
        "bucket_name": variables.exports_s3_bucket,
        "endpoint_url": variables.exports_s3_endpoint.rstrip("/") or None,
        "region_name": variables.exports_s3_region or None,
        "access_key": variables.exports_s3_access_key or None,
        "secret_key": secret.get_secret_value() if secret else None,
    }
    return {"BACKEND": "reports.storage.open_bucket", "OPTIONS": options}
