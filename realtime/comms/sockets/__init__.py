"""Wraps the sockets of zmq, which only this package imports, with bounded waits and queues.

A socket that binds has its own context, terminated by `close`, because only that makes libzmq free the port before
`close` returns. A socket that connects shares the context of the process. A socket belongs to one thread;
`PublisherSocket` has a lock.
"""
