"""The trouble table: how hotconfig's client and its peers' behave when something goes wrong.

`python -m benchmarks trouble` measures all of it, in under four minutes; `python -m benchmarks.trouble.one PRODUCT ROW`
one cell. hotconfig reads a real PostgreSQL. Each peer reads a server of ours that speaks its vendor's protocol: what is
compared is the client, not the vendor's service.

Every cell is two processes that nothing else uses: the application, with the client in it, and the server, behind a
link that can be cut, refused or silenced.
"""
