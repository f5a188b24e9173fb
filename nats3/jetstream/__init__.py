"""JetStream: the only room that imports nats.

`server.NatsJetStream(connection)` and `memory.MemoryJetStream()` are the same to a job: `streams` to ask, `source()` to
receive from, `publisher()` and `atomic_publisher()` to write with. All that is opened ends with its connection.
"""
