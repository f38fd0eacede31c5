"""Helpers of several kinds of adapter; not one itself."""
