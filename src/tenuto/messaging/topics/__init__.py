"""Subscriptions: how the events of a topic come to functions, each at its own pace."""
