"""Whether this web process is told to end: a request that waits for something is answered then, not cut off."""

import threading

#: Set once, in the process that answers requests.
stopping = threading.Event()
