"""The Observer port made real: what the host tells people and machines."""
