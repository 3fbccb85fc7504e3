"""The commands that are clients of a running gateway. Each loads what it needs when it runs."""
