"""What robots and other programs ask of a run over REQ sockets, and who asks. `messages` has the contract."""
