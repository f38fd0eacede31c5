"""Helpers of several backends; not one itself."""
