"""What holds for all tests: the program's own settings, before a library is imported that reads them."""

import app  # noqa: F401  nothing leaves the machine
