"""The configuration: sections of `provider_config.yaml`, loading and validation.

One module per section. Nothing here reads files; `loader` parses text.
"""
