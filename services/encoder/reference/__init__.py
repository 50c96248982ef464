"""Brings users' reference videos here: fetched, decoded and conformed to what a model draws."""
