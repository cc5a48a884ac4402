"""`python -m check_pop3_plus`, for development; the installed command is the supported way."""

from check_pop3_plus.start import run

run()
