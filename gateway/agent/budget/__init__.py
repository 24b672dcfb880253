"""What a turn may spend: its reservation, and limits on streams and on further calls.

Reservations are stored by `services.usage`; nothing here does I/O of its own.
"""
