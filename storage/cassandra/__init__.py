"""Room logs in Cassandra: conditional batches on one partition, resolved by reading when their
outcome is unknown (docs/decisions/005-cassandra.md).
"""

from storage.cassandra.log import CassandraLog
from storage.cassandra.opening import open_cassandra
from storage.cassandra.schema import NewerSchema
from storage.cassandra.session import CassandraError

__all__ = ["CassandraError", "CassandraLog", "NewerSchema", "open_cassandra"]
