"""What other systems post to a host: CloudEvents for topics, and the webhook of Event Grid."""
