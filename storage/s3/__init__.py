"""Files in an S3 bucket (MinIO, or any store that has conditional writes). `open_s3(config.s3)`.

`uploads/<id>` is the state of an upload and its last bytes, one object that is replaced under the
condition that nobody else replaced it; `files/<id>` is the finished file.
"""

from storage.s3.files import S3Files, open_s3

__all__ = ["S3Files", "open_s3"]
