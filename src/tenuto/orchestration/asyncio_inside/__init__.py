"""What asyncio (and anyio) does inside orchestrators: the same, deterministically."""
