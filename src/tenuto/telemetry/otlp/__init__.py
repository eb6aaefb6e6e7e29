"""What a host tells of itself by OpenTelemetry's protocol, and to Azure's Application Insights.

Needs the extra ``otel``, and is imported by a host whose settings say so, and by nobody else. Spans
are read from the store, where the commits have put them; metrics and lines are of this process.
Sending is done in a thread of its own. Must never hold the host's loop, and never end anything.
"""
