"""Sections of `provider_config.yaml`, one file for each part of the gateway that has one."""
