"""Life-cycle notifications: what becomes of instances, sent to whom the settings name."""
