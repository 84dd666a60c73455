"""python -m her2edge_cli"""

from her2edge_cli import run

run()
