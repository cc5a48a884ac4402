"""Read JSON of others: of a token endpoint, an API, a mail server."""


def json_object(data: bytes) -> dict[str, object] | None:
    """Return the object that the data is, or None for any other data."""
    import json

    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
