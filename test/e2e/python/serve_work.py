"""Serves flow_work.py from this process, as `flow.serve` does.

serve_work.py NAME
"""

import sys

from flow_work import work

if __name__ == "__main__":
    work.serve(name=sys.argv[1], print_starting_message=True)
