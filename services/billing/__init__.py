"""Prices, holds and settles credits."""
