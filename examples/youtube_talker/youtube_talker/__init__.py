"""Writes posts from the transcripts of videos; how it does is hot configuration."""
