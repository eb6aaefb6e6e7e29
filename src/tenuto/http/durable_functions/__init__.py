"""The HTTP API of Durable Functions: start, ask and steer instances, as its reference says."""
