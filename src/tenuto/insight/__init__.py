"""Insight: what a person sees of a run; read by the command line, HTTP and pages alike.

Owns the model of a run (steps, what each waits for), how it is followed, and why an instance does
not go on (``explanation``). Must never write, and knows no form of showing.
"""
