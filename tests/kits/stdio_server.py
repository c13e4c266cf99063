"""The test server as a child process."""

import mcpc
from support import make_server

if __name__ == "__main__":
    mcpc.run(make_server(), "stdio:")
