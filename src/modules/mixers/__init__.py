"""Mixers: networks that join the agents' values into one value of the team; learners import them by module."""
