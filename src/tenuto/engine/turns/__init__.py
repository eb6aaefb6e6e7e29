"""Turns: what an instance takes in, and what comes of it. Pure.

A turn has two halves (ENGINE rule 31). ``prepare`` sorts the inbox and fixes the time; whoever runs
the instance answers, at once or later; ``finish`` holds the answer to the limits, records it, and
says once what follows: the slots of ``Step``. Booking and release know those, and neither events
nor kinds of instances.
"""
