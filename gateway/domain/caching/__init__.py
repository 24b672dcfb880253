"""Which turns may be answered from the response cache, under which key, and with what. No storage."""
