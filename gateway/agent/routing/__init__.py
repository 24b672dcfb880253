"""Which upstream is asked, which is left alone, and when one is asked again."""
