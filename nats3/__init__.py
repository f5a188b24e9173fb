"""nats3 keeps JetStream messages in S3 for good and plays them back exactly."""

__version__ = "0.1.0"
