"""Client and handles: how programs start, ask and steer instances."""
