"""The guard: what cannot be replayed is refused inside orchestrators; ``installing`` says how."""
