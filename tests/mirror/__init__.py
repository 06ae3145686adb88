"""A copy of the public archive on loopback: made-up files in the native formats, and faults on the wire on demand."""
