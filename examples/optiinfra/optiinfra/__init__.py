"""Agents that make the infrastructure of LLMs cheaper and faster; which of them works for whom is hot."""
