"""Functions behind HTTP: ``@app.http``, their arguments and answers, and webhooks."""
