"""Request and response bodies of the native API as pydantic models. No logic."""
